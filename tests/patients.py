"""Environments for the doctor in which something is missing or broken."""

import json
import os
import subprocess
from pathlib import Path

from helpers import ROOT

ONNX = ("numpy", "onnxruntime", "flatbuffers", "packaging", "protobuf")
LITERT = ("numpy", "ai-edge-litert", "flatbuffers", "protobuf", "tqdm", "typing-extensions", "backports.strenum")
AUDIO = ("soundfile", "cffi", "pycparser", "typing-extensions", "soxr")
DEVICE = ONNX + AUDIO
CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
NEVER = "raise SystemExit('imported, although its version has a known fault')\n"


def pretend(folder: Path, package: str, version: str, code: str) -> dict:
    """An environment in which `package` is installed in this version and runs `code` when it is imported."""
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: {version}\n")
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(code)
    return os.environ | {"PYTHONPATH": str(folder)}


def doctor(python: Path | str, *arguments, **options) -> subprocess.CompletedProcess:
    command = [str(python), "-m", "edge.doctor", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False, **options)


def report(result: subprocess.CompletedProcess) -> dict:
    """The --json report, its findings by name."""
    values = json.loads(result.stdout)
    assert result.returncode == (0 if values["healthy"] else 1), result.stderr
    assert result.stderr == ""
    return values | {"findings": {finding["name"]: finding for finding in values["findings"]}}


def problem(values: dict, name: str, *parts: str) -> None:
    """Assert that there is a problem of this name whose text or cure contains each of `parts`."""
    finding = values["findings"][name]
    assert finding["state"] == "problem", finding
    assert finding["cure"]
    for part in parts:
        assert part in finding["what"] + " " + finding["cure"], finding


def board(folder: Path, **files: str) -> Path:
    """A folder with kernel files of a machine, examined in place of this machine's."""
    for path, text in files.items():
        at = folder / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
    return folder


def examined(python: Path, root: Path, environment: dict | None = None, before: tuple[str, ...] = ()) -> dict:
    """The report on the machine whose files are in `root`."""
    code = (
        "import sys; from pathlib import Path; from edge.doctor import __main__ as doctor;"
        "report = doctor.diagnose(microphone=sys.argv[2] == 'mic', root=Path(sys.argv[1]));"
        "print(doctor.as_json(report)); sys.exit(not report.healthy)"
    )
    microphone = "mic" if (root / "dev").exists() else "none"
    command = [*before, str(python), "-c", code, str(root), microphone]
    return report(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment))
