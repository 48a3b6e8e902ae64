"""Does ExecuTorch earn a place beside ONNX Runtime? One model under both: speed, memory, start, files, installation.

    SER_DATA=FOLDER PYTHON -m benchmarks.executorch_trial RUN FILES [--torch-free PYTHON312] [--wheels FOLDER]

PYTHON: of an environment of its own, Python 3.11, with

    pip install executorch==1.5.1 torch==2.13.0 '.[train,export]'

PYTHON312: of one with executorch-numpy-runtime 1.4.0 alone (another author's build of ExecuTorch 1.3.1 without torch).
FOLDER of wheels: RUNTIME.MACHINE/*.whl, everything that an installation downloads; `uv pip compile --python-platform
aarch64-manylinux_2_31` and `pip download --no-deps --platform ...` make it. Files are lowered to XNNPACK: float32, and
int8 by PT2E (encoder static, by the development blocks that calibrate our static_int8; products of the head dynamic).
Every runtime is a process of its own and they take turns; times are medians, `ratio` is to ONNX Runtime's file of the
same scheme. Inputs and differences are of development recordings. Writes benchmarks/results/executorch.json.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch

from benchmarks.executorch_export import float32, int8, lower
from benchmarks.results import add_row
from crnn.data import prepare as preparation
from crnn.data.loaders import EvalClips
from crnn.errors import require
from crnn.files.atomic import write_text
from crnn.training.run_folder import RunFolder
from edge.export.exporters import calibration_blocks, export_all, parts
from edge.export.trained import load_trained

RESULT = Path("benchmarks/results/executorch.json")
INPUTS, STARTS, ROUNDS, CALLS = 64, 5, 150, 5
TWINS = {"float32": "float32", "int8": "static_int8"}
"""Scheme of a .pte file -> the scheme of ours it stands beside"""
FACTS = "facts.json"
WORKER = [str(Path(__file__).with_name("executorch_process.py"))]


def files_of(runtime: str, scheme: str, folder: Path) -> dict[str, Path]:
    """The encoder's and the head's file."""
    if runtime != "onnx":
        return {part: folder / f"{part}.{scheme}.pte" for part in ("encoder", "head")}
    head = "dynamic_int8" if scheme == "static_int8" else scheme
    return {"encoder": folder / f"encoder.{scheme}.onnx", "head": folder / f"head.{head}.onnx"}


class Process:
    """A runtime with one pair of files, in a process of its own."""

    def __init__(self, python: str, runtime: str, scheme: str, folder: Path) -> None:
        self.files = files_of(runtime, scheme, folder)
        self.outputs = folder / f"{runtime}.{scheme}.npz"
        given = [runtime, *map(str, (*self.files.values(), folder / "inputs.npz", self.outputs))]
        self.command, self.starts, self.child = [python, *WORKER, *given], [], None
        self.seconds = {"encoder": [], "head": []}

    def start(self) -> None:
        """Start it (anew), and note what that cost."""
        self.stop()
        command = [*self.command, "--started", str(time.monotonic())]
        environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.child = subprocess.Popen(command, env=environment, text=True, **pipes)
        self.starts.append(self._told())

    def turn(self, part: str) -> None:
        self.child.stdin.write(f"{part} {CALLS}\n")
        self.child.stdin.flush()
        self.seconds[part].append(self._told())

    def stop(self) -> None:
        if self.child is not None:
            self.child.stdin.close()
            self.child.wait()

    def _told(self) -> dict | float:
        line = self.child.stdout.readline()
        require(bool(line), f"{' '.join(self.command)}: ended without an answer; run it by hand to see why")
        return json.loads(line)


def export_both(run: Path, folder: Path) -> None:
    """Write every file into `folder`, with inputs, references and, last, what is known of each .pte file."""
    trained = load_trained(RunFolder(run))
    prepared = preparation.without_test(preparation.prepare(trained.config, trained.data))
    dev = EvalClips(prepared.cache, prepared.split.dev, prepared.split.labels, trained.config)
    both, g = parts(trained.model, trained.config), trained.config.geometry
    blocks = calibration_blocks(dev, g)
    some = np.concatenate(blocks[:: len(blocks) // INPUTS][:INPUTS])
    with torch.inference_mode():
        windows = [trained.model.encoder(dev[n][0][None])[:, : g.window_steps] for n in range(INPUTS)]
        inputs = {"encoder": torch.from_numpy(some), "head": torch.cat(windows)}
        references = {part.name: part.module.eval()(inputs[part.name]).numpy() for part in both}
    np.savez(folder / "inputs.npz", **{name: x.numpy() for name, x in inputs.items()})
    np.savez(folder / "references.npz", **references)
    export_all(trained.model, trained.config, ("onnx",), blocks, folder)
    calibration = {"encoder": [torch.from_numpy(block) for block in blocks], "head": [inputs["head"][:1]]}
    facts = {}
    for part in both:
        for scheme in TWINS:
            program = float32(part) if scheme == "float32" else int8(part, calibration[part.name])
            facts[f"{part.name}.{scheme}"] = lower(program, folder / f"{part.name}.{scheme}.pte")
    write_text(folder / FACTS, json.dumps(facts))


def measure(folder: Path, torch_free: str | None) -> list[dict]:
    """Every runtime on the files of `folder`."""
    systems = {("onnx", "float32"): sys.executable, ("onnx", "static_int8"): sys.executable}
    for runtime, python in (("executorch", sys.executable), ("executorch_numpy_runtime", torch_free)):
        systems |= {(runtime, scheme): python for scheme in TWINS if python}
    processes = {system: Process(python, *system, folder) for system, python in systems.items()}
    for _ in range(STARTS):
        for process in processes.values():
            process.start()
    order, rng = list(processes.values()), np.random.default_rng(0)
    for _ in range(ROUNDS):
        rng.shuffle(order)
        for process in order:
            for part in process.seconds:
                process.turn(part)
    references, facts, rows = np.load(folder / "references.npz"), json.loads((folder / FACTS).read_text()), []
    for (runtime, scheme), process in processes.items():
        process.stop()
        outputs = np.load(process.outputs)
        twin = processes["onnx", TWINS.get(scheme, scheme)]
        costs = {key: statistics.median(start[key] for start in process.starts) for key in process.starts[0]}
        rows.append({"kind": "process", "runtime": runtime, "scheme": scheme, **costs})
        for part, seconds in process.seconds.items():
            ms = 1000 * statistics.median(seconds)
            figures = {
                "ms": ms,
                "ratio": ms / (1000 * statistics.median(twin.seconds[part])),
                "bytes": process.files[part].stat().st_size,
                "max_abs_diff": float(np.abs(outputs[part] - references[part]).max()),
            }
            key = {"kind": "part", "runtime": runtime, "scheme": scheme, "part": part}
            rows.append(key | figures | (facts[f"{part}.{scheme}"] if runtime != "onnx" else {}))
    return rows


def installations(folder: Path) -> list[dict]:
    """What an installation downloads and what it takes, from the wheels it is made of."""
    rows = []
    for each in sorted(path for path in folder.iterdir() if path.is_dir()):
        runtime, machine = each.name.split(".")
        wheels = sorted(each.glob("*.whl"))
        sizes = {path.name.split("-")[0]: (path.stat().st_size, unpacked(path)) for path in wheels}
        download, installed = (sum(pair[n] for pair in sizes.values()) for n in (0, 1))
        cuda = sum(pair[0] for name, pair in sizes.items() if name.startswith(("nvidia", "cuda", "triton")))
        rows.append(
            {"kind": "install", "runtime": runtime, "machine": machine}
            | {"packages": len(wheels), "torch": "torch" in sizes}
            | {"download_bytes": download, "cuda_download_bytes": cuda, "installed_bytes": installed}
        )
    return rows


def unpacked(wheel: Path) -> int:
    with ZipFile(wheel) as archive:
        return sum(item.file_size for item in archive.infolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of train.py")
    parser.add_argument("files", type=Path, help="folder for the exported files, or where they are already")
    parser.add_argument("--torch-free", help="Python with executorch-numpy-runtime")
    parser.add_argument("--wheels", type=Path, help="folder of RUNTIME.MACHINE folders of wheels")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    torch.set_num_threads(1)
    args.files.mkdir(parents=True, exist_ok=True)
    if not (args.files / FACTS).is_file():
        export_both(args.run, args.files)
    rows = [{"bundle": args.run.name} | row for row in measure(args.files, args.torch_free)]
    for row in rows + (installations(args.wheels) if args.wheels else []):
        add_row(RESULT, row, ("bundle", "kind", "runtime", "scheme", "part", "machine"))
        sys.stdout.write("  ".join(f"{key}={value}" for key, value in row.items()) + "\n")


if __name__ == "__main__":
    main()
