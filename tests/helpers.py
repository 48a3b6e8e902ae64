"""Running the scripts as a user would, and making files that are broken on purpose."""

import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import warm_scripts

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SMALL = [
    "--protocol", "synthetic-demo", "--augment.noise", "false", "--augment.room", "false",
    "--model.channels", "[8,8,8,8]", "--model.lstm_units", "16", "--model.attention_units", "8",
    "--optim.batch_size", "16", "--optim.ema_decay", "0.8", "--augment.copies", "2", "--model.arousal", "true",
]  # fmt: skip


def script(
    name: str, *arguments, cwd: Path = ROOT, env: dict | None = None, text: bool = True, fresh: bool = False, input=None
) -> subprocess.CompletedProcess:
    """Run one of the three scripts as a user would, and return what it printed.

    `fresh` starts an interpreter even where `warm_scripts` would serve.
    """
    argv = [str(ROOT / name), *map(str, arguments)]
    environment = dict(os.environ if env is None else env)
    if fresh or not warm_scripts.serves(ROOT / name, environment):
        return subprocess.run(
            [sys.executable, *argv],
            cwd=cwd, env=environment, input=input, capture_output=True, text=text, timeout=600, check=False,
        )  # fmt: skip
    given = input.encode() if isinstance(input, str) else input or b""
    code, *streams = warm_scripts.run(ROOT / name, argv[1:], cwd, environment, given)
    return subprocess.CompletedProcess(argv, code, *(stream.decode() if text else stream for stream in streams))


def started(name: str, *arguments, errors: Path, env: dict | None = None) -> subprocess.Popen | warm_scripts.Started:
    """Start one of the three scripts beside the test, in a session of its own; `errors` gets its standard error."""
    environment = dict(os.environ if env is None else env)
    given = [*map(str, arguments)]
    if warm_scripts.serves(ROOT / name, environment):
        nothing = Path(os.devnull)
        return warm_scripts.Started(ROOT / name, given, ROOT, environment, [nothing, nothing, errors])
    with errors.open("w") as said:
        return subprocess.Popen(
            [sys.executable, str(ROOT / name), *given],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
            start_new_session=True,
        )  # fmt: skip


def processes_of(session: int) -> list[int]:
    """Running processes of a session, without zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:  # it has ended in the meantime
                continue
            if int(its_session) == session and state != "Z":
                found.append(int(entry.name))
    return found


def called(main: Callable[[list[str]], int], *arguments) -> subprocess.CompletedProcess:
    """Call a command's `main` in this process: for refusals, where `script` would start one for each.

    Its log goes to pytest, not to standard error.
    """
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            code = main([*map(str, arguments)])
        except SystemExit as end:  # of argparse
            code = end.code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), errors.getvalue())


def example(name: str, *arguments, programs: Path | None = None, **variables: str) -> str:
    """Run an example from the checkout, and return what it prints; `programs`: a folder searched before all others."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": f"{programs}:{path}" if programs else path, "PYTHONPATH": str(ROOT)}
    program = ["bash"] if name.endswith(".sh") else [sys.executable]
    result = subprocess.run(
        [*program, EXAMPLES / name, *map(str, arguments)],
        cwd=ROOT, env=environment | variables, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def one_clear_line(result: subprocess.CompletedProcess, *parts: str) -> None:
    """Bad input: exit code 2, no traceback, a last line that names what is wrong."""
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 2, result.stderr[-2000:]
    assert "Traceback" not in result.stderr
    assert last.startswith("error: "), result.stderr[-2000:]
    for part in parts:
        assert part in last, last


PRUNES = {"--prune", "--target-size", "--target-rtf"}
"""Options with which quantize.py prunes, and trains further"""


def bundle_arguments(run: Path, out: Path, cache: Path, *arguments) -> tuple:
    """Of quantize.py; where it prunes, it fine-tunes for one epoch."""
    briefly = ("--fine-tune-epochs", "1") if PRUNES & {*arguments} else ()
    return (run, "--out", out, "--cache", cache, *briefly, "--max-uar-drop", "1", *arguments)


def make_bundle(run: Path, out: Path, cache: Path, *arguments, here: bool = False) -> subprocess.CompletedProcess:
    """quantize.py with `bundle_arguments`; `here`: in this process, without its log on standard error."""
    given = bundle_arguments(run, out, cache, *arguments)
    if here:
        import quantize

        return called(quantize.main, *given)
    return script("quantize.py", *given)


def flip_bit(path: Path) -> None:
    """One bit in the middle of a file, as damage does."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def needs(*packages: str, reason: str) -> None:
    """At the top of a test file: skip it where one is missing. Each of pytest's workers collects every file, and would
    import with `pytest.importorskip` what only one of them uses."""
    if not all(map(find_spec, packages)):
        pytest.skip(reason, allow_module_level=True)


def tone(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1)


def broken_files(folder: Path) -> dict[str, str]:
    """File name -> what must be said of it. Shared by the tests of training and of streaming."""
    folder.mkdir(parents=True, exist_ok=True)
    good = tone(1.0, 16000)
    soundfile.write(folder / "good.wav", good, 16000)
    soundfile.write(folder / "good.flac", good, 16000)
    data, packed = (folder / "good.wav").read_bytes(), (folder / "good.flac").read_bytes()
    (folder / "empty.wav").write_bytes(b"")
    (folder / "cut.wav").write_bytes(data[: len(data) // 2])
    (folder / "cut_header.wav").write_bytes(data[:20])
    (folder / "cut.flac").write_bytes(packed[: len(packed) // 2])
    soundfile.write(folder / "nothing.wav", np.zeros((0, 1)), 16000)
    holed = good.copy()
    holed[100] = np.nan
    soundfile.write(folder / "nan.wav", holed, 16000, subtype="FLOAT")
    (folder / "text.wav").write_text("this is not audio, whatever its name says\n" * 20)
    for name in ("good.wav", "good.flac"):
        (folder / name).unlink()
    return {
        "empty.wav": "empty",
        "cut.wav": "truncated",
        "cut_header.wav": "",
        "cut.flac": "",
        "nothing.wav": "no samples",
        "nan.wav": "NaN",
        "text.wav": "not readable as audio",
    }


def edit_json(path: Path, change) -> None:
    """Let `change` alter the values of a JSON file in place."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def own_voices(folder: Path) -> Path:
    """60 short SYNTHETIC clips of 6 voices, laid out as somebody's own: `angry/voice1_00.wav`."""
    from crnn.synthetic import write_own

    write_own(folder, speakers=6, seconds=1.2)
    return folder


def describe_nobody(folder: Path, width: int, n_classes: int) -> None:
    """The `speakers.npz` of a bundle whose model was trained on nobody: for models with random weights."""
    spread = {name: np.zeros(n_classes, np.float32) for name in ("neutral_mean", "neutral_between", "neutral_within")}
    spread |= {"center": np.zeros(width, np.float32), "whiten": np.eye(width, dtype=np.float32)}
    np.savez(folder / "speakers.npz", **spread)


@contextmanager
def mounted_disk(at: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of that size; the test is skipped where mounting is not allowed."""
    at.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", at], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    try:
        yield at
    finally:
        gc.collect()  # a memory-mapped file would occupy the disk
        subprocess.run(["umount", "--lazy", at], check=True)


def own_desk(folder: Path) -> Path:
    """Own recordings of six speakers in `folder`/own, and small settings of train.py in small.yaml."""
    own_voices(folder / "own")
    (folder / "small.yaml").write_text(
        "model: {channels: [8, 8, 8, 8], lstm_units: 16, attention_units: 8}\n"
        "optim: {epochs: 1, batch_size: 16, ema_decay: 0.8}\n"
        "augment: {noise: false, room: false, copies: 2}\n"
    )
    return folder
