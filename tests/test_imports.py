"""Who may import whom, held by reading the code; and the device half where torch cannot be imported."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from helpers import one_clear_line

from edge.runtimes import REGISTRY

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {"train", "quantize", "stream_infer"}
# Folders of the device half, in order: a folder may import those before it, none after it.
DEVICE = ("runtimes", "audio", "stream", "bundle", "loop", "sinks", "enroll", "doctor", "feedback", "serve", "page")
WORKSTATION = ("prune", "export", "evaluate", "battery", "embed")
CRNN = ("files", "cli", "decoders", "data", "models", "training")
PLAIN = (
    "errors",
    "renamed_keys",
    "continuous_labels",
    "config",
    "feature_config",
    "features",
    "labels",
    "offset",
    "outputs",
    "whisper_features",
)
"""Files of crnn/ itself that the device needs too"""
NO_TORCH = (*PLAIN, "files", "cli", "decoders", "data.audio")
"""Parts of crnn/ that the device half may import"""
NEEDS_AN_EXTRA = {"av_decoder", "settings_file"}
"""Files among these that need a package of an extra: PyAV (aac), PyYAML (train)"""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imported(path: Path) -> set[str]:
    """Every module a file imports, wherever in the file; `from a import b` counts as a and a.b."""
    names = set()
    for node in nodes(path):
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


def room(name: str) -> str:
    """'edge.audio.vad' -> 'audio'; 'edge.preflight' -> 'preflight'."""
    return name.split(".")[1] if "." in name else ""


def edge_files(rooms: tuple[str, ...]) -> list[Path]:
    return [path for name in rooms for path in files(f"edge/{name}")]


def device_files() -> list[Path]:
    return [ROOT / "edge/__init__.py", ROOT / "edge/preflight.py", *edge_files(DEVICE)]


def test_every_file_is_in_a_room():
    assert {path.name for path in (ROOT / "edge").glob("*.py")} == {"__init__.py", "preflight.py"}
    folders = {path.parent.relative_to(ROOT / "edge").parts[0] for path in (ROOT / "edge").glob("*/*.py")}
    assert folders == {*DEVICE, *WORKSTATION}
    assert {path.parent.name for path in (ROOT / "crnn").glob("*/*.py")} == {*CRNN}
    for package in ("crnn", "edge", "augment"):
        for folder in {path.parent for path in files(package)}:
            assert (folder / "__init__.py").is_file(), f"{folder}: no __init__.py, so it is missing from the wheel"


@pytest.mark.parametrize(("package", "folders"), [("edge", DEVICE), ("edge", WORKSTATION), ("crnn", CRNN)])
def test_a_folder_imports_none_after_it(package, folders):
    for index, name in enumerate(folders):
        for path in files(f"{package}/{name}"):
            later = {f"{package}.{other}" for other in folders[index + 1 :]}
            for module in imported(path):
                assert ".".join(module.split(".")[:2]) not in later, f"{path}: {module} is a later folder"


def test_device_half_imports_no_workstation_half():
    for path in device_files():
        assert not {room(name) for name in imported(path) if name.startswith("edge.")} & {*WORKSTATION}, path


def test_audio_imports_only_runtimes_and_preflight():
    for path in edge_files(("audio",)):
        rooms = {room(name) for name in imported(path) if name.startswith("edge.")}
        assert rooms <= {"audio", "runtimes", "preflight"}, path


@pytest.mark.parametrize("name", ["audio", "doctor"])
def test_rooms_that_start_first_are_empty_at_their_door(name):
    """A small capture process; a doctor that runs before anything is installed."""
    assert (ROOT / "edge" / name / "__init__.py").read_text(encoding="utf-8") == ""


def test_plain_files_import_no_room_of_data_or_models():
    for name in PLAIN:
        names = imported(ROOT / f"crnn/{name}.py")
        assert {room(module) for module in names if module.startswith("crnn.")} <= {*PLAIN, "files", "cli"}, name
        assert "torch" not in tops(names), name


def test_device_half_uses_little():
    allowed = set(sys.stdlib_module_names) | {"numpy", "edge", "crnn"}
    packages = {
        "runtimes/onnx.py": {"onnxruntime"},
        "runtimes/tflite.py": {"ai_edge_litert", "tflite_runtime"},
        "audio/capture.py": {"pyaudio"},
        "audio/sources.py": {"soundfile"},
        "audio/microphone.py": {"tenacity"},
        "bundle/card.py": {"huggingface_hub"},
        "bundle/hub.py": {"filelock", "huggingface_hub"},
        "sinks/terminal.py": {"rich"},
        "sinks/mqtt.py": {"paho"},
    }
    for path in device_files():
        within = path.relative_to(ROOT / "edge").as_posix()
        names = imported(path)
        if not within.startswith(("page/", "serve/")):  # web servers, which nobody needs on the device
            assert tops(names) <= allowed | packages.get(within, set()), path
        for name in names:
            if name.startswith("crnn."):
                may = {f"crnn.{part}" for part in NO_TORCH}
                assert any(name == part or name.startswith(part + ".") or part.startswith(name) for part in may), name


def test_runtimes_are_named_in_their_registry_alone():
    """Names, packages and suffixes, as whole words of the code; prose may name them. Beside the registry's folder
    their exporters may, and silero-vad, which is an ONNX file itself."""
    own = {
        "runtime_faults",
        "onnx_export",
        "onnx_quantize",
        "tflite_export",
        "tflite_quantize",
        "tflite_lstm",
        "silero_vad",
    }
    packages = {package for runtime in REGISTRY.values() for package in runtime.packages}
    names = {*REGISTRY, *packages, *(runtime.suffix for runtime in REGISTRY.values())}
    paths = [path for package in ("augment", "crnn", "edge") for path in files(package)]
    paths += [ROOT / f"{script}.py" for script in SCRIPTS]
    for path in paths:
        if path.stem not in own and path.parent.name != "runtimes":
            texts = (node.value for node in nodes(path) if isinstance(node, ast.Constant))
            words = {text for text in texts if isinstance(text, str)}
            assert not words & names, path
            assert not tops(imported(path)) & packages, path


def test_only_one_module_imports_torchaudio():
    for package in ("augment", "crnn", "edge"):
        for path in files(package):
            if path.name != "torchaudio_import.py":
                assert "torchaudio" not in tops(imported(path)), path


def crnn_files_of_the_device() -> list[Path]:
    paths = [ROOT / "crnn" / part.replace(".", "/") for part in NO_TORCH]
    found = [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")])]
    return [path for path in found if path.stem not in NEEDS_AN_EXTRA]


def test_device_half_imports_without_torch():
    modules = [
        module_name(path)
        for path in device_files()
        if path.parent.name not in ("page", "serve") and path.stem != "tflite"
    ]
    modules += [module_name(path) for path in crnn_files_of_the_device()]
    code = f"""
import importlib, sys
for name in {[*modules, "stream_infer"]!r}:
    importlib.import_module(name)
assert "torch" not in sys.modules
"""
    result = run_without(
        ("torch", "torchaudio", "lightning", "scipy", "librosa", "rich", "paho", "yaml", "av", "filelock"), code
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("script", "arguments"),
    [("train", ["--data", "nowhere"]), ("quantize", ["RUN", "--out", "BUNDLE", "--prune", "2"])],
)
def test_a_mistyped_argument_is_reported_before_torch_is_imported(script, arguments):
    """It takes seconds on a small machine, Lightning more."""
    pytest.importorskip("jsonargparse", reason="needs the train extra")
    result = run_without(
        ("torch", "lightning", "torchmetrics"), f"import {script}; sys.exit({script}.main({arguments}))"
    )
    one_clear_line(result, arguments[-1])


def test_recognizing_imports_no_part_of_numpy_that_costs_a_device_megabytes():
    """numpy.ma, which np.median and np.percentile import, is 10 MB."""
    heavy = ("numpy.ma", "numpy.random", "numpy.polynomial", "numpy.testing")
    result = run_without(
        ("torch",),
        "from edge import open_model\nfrom edge.bundle import PRETRAINED\n"
        "recognized = open_model(vad='energy').recognize(PRETRAINED.parent / 'synthetic_voice.flac')\n"
        f"assert recognized.segments\nprint([name for name in {heavy} if name in sys.modules])",
    )
    assert result.stdout.strip() == "[]", result.stderr


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
