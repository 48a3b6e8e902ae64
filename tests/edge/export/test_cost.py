"""The size and time by which pruning meets its targets are those of exported files."""

import torch

from crnn.config import ModelConfig
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from edge import bundle, runtimes
from edge.export import cost
from edge.export.exporters import ExportedPair, export_all, exporter
from edge.stream.decision import DecisionConfig

LABELS = ("angry", "neutral", "sad")
CONFIG = RunConfig(model=ModelConfig(channels=(8, 4, 4, 4), lstm_units=13, attention_units=8))
SHIPPING = {name: runtime.int8 for name, runtime in runtimes.REGISTRY.items() if exporter(name).installed()}


def model_of(seed: int) -> CRNN:
    """A model as pruning leaves it."""
    torch.manual_seed(seed)
    return CRNN(CONFIG.features, CONFIG.model, len(LABELS)).eval()


def test_an_architecture_is_exported_once_in_every_runtime_whatever_its_weights(tmp_path, monkeypatch):
    shape = (1, CONFIG.features.n_mels, CONFIG.geometry.block_frames)
    blocks = [torch.randn(shape).numpy() for _ in range(4)]
    exports: list[dict] = []

    def sizes(made: list[ExportedPair]) -> dict:
        return {(pair.runtime, pair.scheme): pair.bytes for pair in made}

    def counted(*arguments) -> list[ExportedPair]:
        made = export_all(*arguments)
        exports.append(sizes(made))
        return made

    monkeypatch.setattr(cost, "export_all", counted)
    draft = bundle.Manifest(bundle.SCHEMA, LABELS, CONFIG.features, CONFIG.geometry, DecisionConfig(), {}, {})
    measure = cost.BundleCost(SHIPPING, draft, blocks, rounds=2)
    first, second = measure(model_of(0), CONFIG, 1), measure(model_of(1), CONFIG, 3)
    (exported,) = exports
    companions = cost.companion_bytes(draft, 2 * CONFIG.model.lstm_units, len(SHIPPING), 1)
    assert first.bytes == sum(exported[pair] for pair in SHIPPING.items()) + companions
    assert first.rtf == second.rtf > 0
    assert second.bytes - first.bytes == 2 * cost.STEP_BYTES, "the manifest lists two steps more"

    others = sizes(export_all(model_of(1), CONFIG, ("onnx",), blocks, tmp_path))
    assert others == {pair: size for pair, size in exported.items() if pair[0] == "onnx"}
