"""The .tflite files under tflite-runtime 2.14, the last release, still installed on many devices.

It needs NumPy 1, so it lives in an environment of its own, made once in the cache folder (~/.cache/ser):

    python3.11 -m venv ~/.cache/ser/tflite-runtime-2.14.0
    ~/.cache/ser/tflite-runtime-2.14.0/bin/pip install tflite-runtime==2.14.0 "numpy<2"
"""

import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from helpers import ROOT, describe_nobody

from crnn.config import ModelConfig
from crnn.models.crnn import CRNN
from crnn.models.head import OpenHead
from crnn.run_config import RunConfig
from edge import bundle
from edge.bundle import PRETRAINED, Bundle, Manifest, ModelFiles
from edge.export.exporters import export_all
from edge.export.tflite_export import installed as tflite_extra
from edge.export.verify import torch_recognizer
from edge.stream.decision import DecisionConfig

VERSION = "2.14.0"
OPEN = (
    "import sys; from pathlib import Path; from edge.bundle import Bundle; from crnn.errors import InputError\n"
    "try: Bundle.open(Path(sys.argv[1])).recognizer('tflite')\n"
    "except InputError as error: sys.exit(str(error))"
)
CONFIG = RunConfig(model=ModelConfig(channels=(8, 8, 8, 16), lstm_units=24, attention_units=32, spectral_floor_db=-25))
needs_extra = pytest.mark.skipif(not tflite_extra(), reason="needs the tflite extra: make test EXTRAS=tflite")


@pytest.fixture(scope="session")
def python() -> Path:
    """The Python of an environment with tflite-runtime."""
    folder = Path.home() / ".cache" / "ser" / f"tflite-runtime-{VERSION}"
    found = folder / "bin" / "python"
    if not found.is_file():
        interpreter = shutil.which("python3.11")
        if interpreter is None:
            pytest.skip(f"tflite-runtime {VERSION} has no wheels past Python 3.11, which is not here")
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        made = subprocess.run([interpreter, "-m", "venv", part], capture_output=True, text=True, check=False)
        wanted = [f"tflite-runtime=={VERSION}", "numpy<2"]
        if made.returncode == 0:
            command = [part / "bin" / "python", "-m", "pip", "install", "--quiet", *wanted]
            made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"cannot make an environment with {' and '.join(wanted)}: {made.stderr.strip()[-200:]}")
        part.rename(folder)
    return found


def opened(python: Path, path: Path) -> subprocess.CompletedProcess:
    command = [python, "-c", OPEN, path]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_shipped_files_give_their_golden_logits(name, python):
    result = opened(python, PRETRAINED.parent / name)
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model with large logits, so that faults are visible, and its files."""
    torch.manual_seed(0)
    model = CRNN(CONFIG.features, CONFIG.model, 6).eval()
    model.head.classifier.weight.data *= torch.linspace(1, 20, 6)[:, None]
    folder = tmp_path_factory.mktemp("files")
    return {scheme: pair for _, scheme, *pair in export_all(model, CONFIG, ("tflite",), [], folder)}, model


def sealed(folder: Path, model: CRNN, encoder: Path, head: Path, scheme: str) -> Path:
    """A bundle of two files with golden values of the installed runtime."""
    folder.mkdir()
    for path in (encoder, head):
        shutil.copy(path, folder)
    models = {"tflite": asdict(ModelFiles(scheme, encoder.name, head.name))}
    labels = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
    draft = Manifest(bundle.SCHEMA, labels, CONFIG.features, CONFIG.geometry, DecisionConfig(), models, {})
    describe_nobody(folder, 2 * CONFIG.model.lstm_units, len(labels))
    bundle.seal(folder, draft, torch_recognizer(model, draft))
    Bundle.open(folder).recognizer("tflite")
    return folder


@needs_extra
@pytest.mark.parametrize("scheme", ["float32", "float16", "dynamic_int8"])
def test_every_scheme_gives_what_litert_gives(scheme, files, python, tmp_path):
    result = opened(python, sealed(tmp_path / "b", files[1], *files[0][scheme], scheme))
    assert result.returncode == 0, result.stderr[-2000:]


@needs_extra
def test_per_channel_fully_connected_weights_are_refused_there(files, python, tmp_path):
    """Correct on LiteRT, silently wrong on tflite-runtime 2.14: the golden values find it."""
    from ai_edge_quantizer.qtyping import QuantGranularity

    from edge.export import tflite_export as export_tflite
    from edge.export import tflite_lstm as fused_lstm
    from edge.export import tflite_quantize as quantize_tflite
    from edge.export.exporters import Part

    made, model = files
    encoder, _ = made["dynamic_int8"]
    lstm, after = fused_lstm.split(OpenHead(model.head))
    states = torch.zeros(1, CONFIG.geometry.window_steps, 2 * lstm.hidden_size)
    float32, head = tmp_path / "after.tflite", tmp_path / "head.per_channel.tflite"
    export_tflite.export(Part("head", after, states, "steps", "logits_and_pooled"), float32)
    quantize_tflite.dynamic_int8(float32, head, QuantGranularity.CHANNELWISE)
    fused_lstm.prepend(lstm, CONFIG.geometry.window_steps, head, "int8")
    fused_lstm.finish(head, "steps", "logits_and_pooled")
    result = opened(python, sealed(tmp_path / "b", model, encoder, head, "dynamic_int8"))
    assert result.returncode != 0
    assert "logits under tflite " in result.stderr
