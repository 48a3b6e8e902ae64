"""Does ExecuTorch earn a place beside ONNX Runtime? One model under both: speed, memory, start, files, installation.

    SER_DATA=FOLDER PYTHON -m benchmarks.executorch_trial RUN [--torch-free PYTHON312] [--wheels FOLDER]

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
import tempfile
import time
import warnings
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch

from benchmarks.executorch_export import float32, int8, lower
from benchmarks.results import add_row
from crnn import prepare as preparation
from crnn.config import require
from crnn.data import EvalClips
from crnn.run import RunFolder
from edge.exporting import calibration_blocks, export_all, parts
from edge.trained import load_trained

RESULT = Path("benchmarks/results/executorch.json")
INPUTS, STARTS, ROUNDS, CALLS = 64, 7, 60, 20
TWINS = {"float32": "float32", "int8": "static_int8"}
"""Scheme of a .pte file -> the scheme of ours it stands beside"""
WORKER = [str(Path(__file__).with_name("executorch_process.py"))]


class Process:
    """A runtime with one pair of files, in a process of its own."""

    def __init__(self, python: str, runtime: str, files: dict[str, Path], inputs: Path, outputs: Path) -> None:
        self.runtime, self.files, self.outputs = runtime, files, outputs
        given = [runtime, str(files["encoder"]), str(files["head"]), str(inputs), str(outputs)]
        self.command, self.starts, self.child = [python, *WORKER, *given], [], None
        self.seconds = {"encoder": [], "head": [inputs["head"][:1]]}

    def start(self) -> None:
        """Start it (anew), and note what that cost."""
        self.stop()
        command = [*self.command, "--started", str(time.monotonic())]
        environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
        self.child = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
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


def made(run: Path, scratch: Path) -> tuple[dict, dict]:
    """Files by (runtime, scheme) and part, and what is known of each .pte file; inputs and references are written."""
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
    np.savez(scratch / "inputs.npz", **{name: x.numpy() for name, x in inputs.items()})
    np.savez(scratch / "references.npz", **references)
    files, facts = {}, {}
    for runtime, scheme, encoder, head in export_all(trained.model, trained.config, ("onnx",), blocks, scratch):
        if scheme in TWINS.values():
            files[runtime, scheme] = {"encoder": encoder, "head": head}
    calibration = {"encoder": [torch.from_numpy(block) for block in blocks], "head": [inputs["head"][:1]]}
    for scheme in TWINS:
        files["executorch", scheme] = {part.name: scratch / f"{part.name}.{scheme}.pte" for part in both}
        for part in both:
            program = float32(part) if scheme == "float32" else int8(part, calibration[part.name])
            facts[scheme, part.name] = lower(program, files["executorch", scheme][part.name])
    return files, facts


def measure(files: dict, facts: dict, torch_free: str | None, scratch: Path) -> list[dict]:
    pythons = {"onnx": sys.executable, "executorch": sys.executable}
    if torch_free:
        pythons["executorch_numpy_runtime"] = torch_free
        files |= {("executorch_numpy_runtime", scheme): files["executorch", scheme] for scheme in TWINS}
    processes = {
        (runtime, scheme): Process(
            pythons[runtime], runtime, pair, scratch / "inputs.npz", scratch / f"{runtime}.{scheme}.npz"
        )
        for (runtime, scheme), pair in files.items()
    }
    for _ in range(STARTS):
        for process in processes.values():
            process.start()
    order, rng = list(processes.values()), np.random.default_rng(0)
    for _ in range(ROUNDS):
        rng.shuffle(order)
        for process in order:
            for part in process.seconds:
                process.turn(part)
    references, rows = np.load(scratch / "references.npz"), []
    for (runtime, scheme), process in processes.items():
        process.stop()
        outputs = np.load(process.outputs)
        twin = processes["onnx", TWINS.get(scheme, scheme)]
        costs = {key: statistics.median(start[key] for start in process.starts) for key in ("startup_s", "rss_mb")}
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
            rows.append(key | figures | (facts[scheme, part] if runtime != "onnx" else {}))
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
            {
                "kind": "install",
                "runtime": runtime,
                "machine": machine,
                "packages": len(wheels),
                "torch": "torch" in sizes,
            }
            | {"download_bytes": download, "cuda_download_bytes": cuda, "installed_bytes": installed}
        )
    return rows


def unpacked(wheel: Path) -> int:
    with ZipFile(wheel) as archive:
        return sum(item.file_size for item in archive.infolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of train.py")
    parser.add_argument("--torch-free", help="Python with executorch-numpy-runtime")
    parser.add_argument("--wheels", type=Path, help="folder of RUNTIME.MACHINE folders of wheels")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        measured = measure(*made(args.run, Path(scratch)), args.torch_free, Path(scratch))
    rows = [{"bundle": args.run.name} | row for row in measured]
    for row in rows + (installations(args.wheels) if args.wheels else []):
        add_row(RESULT, row, ("bundle", "kind", "runtime", "scheme", "part", "machine"))
        sys.stdout.write("  ".join(f"{key}={value}" for key, value in row.items()) + "\n")


if __name__ == "__main__":
    main()
