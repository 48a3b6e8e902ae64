"""Who may import whom, held by reading the code; and the device half where torch cannot be imported."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import one_clear_line

from edge.runtimes import REGISTRY

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {"train", "quantize", "stream_infer"}
DEVICE = {
    "bundle", "decision", "events", "runtimes", "silero", "smoothing", "sources", "streaming", "utterances", "vad",
    "microphone", "channels", "capture", "capture_process", "ring", "input_watch", "sinks", "listening", "extras",
    "writable", "doctor", "doctor_checks", "machine", "selftest",
    "names", "recognition", "table", "arrays", "golden", "manifest", "onnx_check", "plausible", "proof", "tflite_check",
    "profile", "enroll", "enrolment", "info", "kept", "keeper", "sidecar", "evidence", "__init__",
}  # fmt: skip
DEVICE_MAY = {
    "crnn.features",
    "crnn.labels",
    "crnn.config",
    "crnn.cli.command",
    "crnn.files.atomic",
    "crnn.data.audio",
    "crnn.decoders",
    "crnn.cli.installed",
    "crnn.cli.interrupt",
    "crnn.offset",
    "crnn.files.strict",
    "crnn.files.printable",
    "crnn.files.typed",
}
NO_TORCH = DEVICE_MAY | {"crnn.decoders.recording"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Every module a file imports, wherever in the file; `from a import b` counts as a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("augment", {"crnn", "edge"}), ("crnn", {"augment", "edge"}), ("edge", {"augment"})],
)
def test_packages_import_in_one_direction(package, forbidden):
    for path in files(package):
        assert not tops(imported(path)) & forbidden, path


def test_nothing_imports_the_scripts():
    for package in ("augment", "crnn", "edge", "benchmarks"):
        for path in files(package):
            assert not tops(imported(path)) & SCRIPTS, path


def device_files() -> list[Path]:
    return [path for path in files("edge") if path.relative_to(ROOT / "edge").parts[0].removesuffix(".py") in DEVICE]


def test_device_half_uses_little():
    assert len(device_files()) >= 8
    allowed = set(sys.stdlib_module_names) | {"numpy", "edge", "crnn"}
    one_runtime = {"onnx.py": {"onnxruntime"}, "tflite.py": {"ai_edge_litert", "tflite_runtime"}}
    audio = {"sources.py": {"soundfile"}, "capture.py": {"pyaudio"}, "microphone.py": {"tenacity"}}
    outlets = {"terminal.py": {"rich"}, "mqtt.py": {"paho"}}
    for path in device_files():
        names = imported(path)
        own = one_runtime.get(path.name, set()) | audio.get(path.name, set()) | outlets.get(path.name, set())
        assert tops(names) <= allowed | own, path
        for name in names:
            if name.startswith("crnn"):
                assert any(name == may or name.startswith(may + ".") for may in DEVICE_MAY), (path, name)
            if name.startswith("edge."):
                assert name.split(".")[1] in DEVICE, (path, name)


def test_runtimes_are_named_in_their_registry_alone():
    """Names, packages and suffixes, as whole words of the code; prose may tell of them. Beside the registry's folder
    their exporters may, and silero-vad, which is an ONNX file itself."""
    own = {"export_onnx", "quantize_onnx", "export_tflite", "quantize_tflite", "fused_lstm", "silero"}
    packages = {package for runtime in REGISTRY.values() for package in runtime.packages}
    names = {*REGISTRY, *packages, *(runtime.suffix for runtime in REGISTRY.values())}
    paths = [path for package in ("augment", "crnn", "edge") for path in files(package)]
    paths += [ROOT / f"{script}.py" for script in SCRIPTS]
    for path in paths:
        if path.stem not in own and path.parent.name != "runtimes":
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
            assert not words & names, path
            assert not tops(imported(path)) & packages, path


def test_only_one_module_imports_torchaudio():
    for package in ("augment", "crnn", "edge"):
        for path in files(package):
            if path.name != "torchaudio_import.py":
                assert "torchaudio" not in tops(imported(path)), path


def test_device_half_imports_without_torch():
    modules = [module_name(path) for path in device_files() if path.name not in ("tflite.py",)]
    code = f"""
import importlib, sys
for name in {modules + sorted(NO_TORCH) + ["stream_infer"]!r}:
    importlib.import_module(name)
assert "torch" not in sys.modules
"""
    result = run_without(("torch", "torchaudio", "lightning", "scipy", "librosa", "rich", "paho"), code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("script", "arguments"),
    [("train", ["--data", "nowhere"]), ("quantize", ["RUN", "--out", "BUNDLE", "--prune", "2"])],
)
def test_what_is_mistyped_is_told_before_torch_is_imported(script, arguments):
    """It takes seconds on a small machine, Lightning more."""
    result = run_without(
        ("torch", "lightning", "torchmetrics"), f"import {script}; sys.exit({script}.main({arguments}))"
    )
    one_clear_line(result, arguments[-1])


def run_without(packages: tuple[str, ...], code: str) -> subprocess.CompletedProcess:
    """Run `code` where none of the packages can be imported."""
    block = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {packages}:
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Block())
"""
    return subprocess.run([sys.executable, "-c", block + code], cwd=ROOT, capture_output=True, text=True, check=False)
