"""Opens the trained model that a bundle is made from: of a run folder, or of a float32 bundle."""

import logging
from dataclasses import dataclass
from pathlib import Path

from crnn.data.prepare import locate_data
from crnn.data.protocols import Split
from crnn.errors import require
from crnn.models.crnn import CRNN, WindowModel
from crnn.models.registry import build_model
from crnn.run_config import RunConfig, require_exportable
from crnn.training.run_folder import RunFolder
from crnn.training.trained_run import load_weights
from edge.bundle import MANIFEST, Bundle
from edge.export.weights import start_of_bundle

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A trained model and its origin."""

    path: Path
    """Of the run folder or the bundle"""
    config: RunConfig
    data: dict[str, str]
    augment: dict
    metrics: dict
    trained_corpora: frozenset[str]
    """Including those of the runs that this one started from"""
    model: WindowModel
    augment_known: bool = True
    """Whether `data` and `augment` are those it was trained with; a bundle holds neither"""

    def places(self, given: dict[str, str]) -> dict[str, str]:
        """Corpus -> folder of its recordings: `given`, or where they were in training; for a bundle, where train.py
        looks for them."""
        if self.augment_known:
            return self.data | given
        return locate_data(self.config.protocol, self.config.fold, given)

    def check_split(self, split: Split) -> None:
        """Refuse recordings that are not those a run was trained and judged on. A bundle may be judged on others of
        the same development speakers, which is logged."""
        if self.augment_known:
            RunFolder(self.path).check_split(split)
        elif split.hash != self.metrics["split_hash"]:
            log.warning(
                "%s was trained under split %s, these recordings give %s: same protocol and development speakers, "
                "other recordings",
                self.path,
                self.metrics["split_hash"],
                split.hash,
            )


def open_trained(path: Path) -> Trained:
    """A run folder of train.py, or a float32 bundle of quantize.py. Raises InputError, naming what is wrong."""
    return trained_of_bundle(path) if (path / MANIFEST).is_file() else load_trained(RunFolder(path))


def trained_of_bundle(path: Path) -> Trained:
    """The model of a float32 bundle that has its weights beside it."""
    start, origin = start_of_bundle(path, str(path)), Bundle.open(path).manifest.provenance
    named = ("corpus", "protocol", "fold", "split_hash", "seed", "synthetic", "speaker_dependent", "trained_model")
    missing = [key for key in named if key not in origin]
    require(not missing, f"{path / MANIFEST}: provenance lacks {', '.join(missing)}; export the run folder instead")
    place = {key: origin[key] for key in ("protocol", "fold", "seed")}
    config = RunConfig(**place, features=start.features, model=start.model, window=start.window)
    figures = {part: {**values, "labels": list(start.labels)} for part, values in origin["trained_model"].items()}
    require("dev" in figures, f"{path / MANIFEST}: has no figures of development speakers; export the run folder")
    model = CRNN(config.features, config.model, len(start.labels))
    model.load_state_dict(start.weights)
    metrics = {key: origin[key] for key in named[:-1]} | figures | {"taught_by": list(start.taught_by)}
    return Trained(path, config, {}, {}, metrics, frozenset(origin["corpora_heard"]), model.eval(), False)


def load_trained(folder: RunFolder) -> Trained:
    """Raises InputError, naming the file, if the run is unfinished, does not fit its configuration, or holds NaN."""
    config, data, augment = folder.read_config()
    require_exportable(config, folder.path)
    metrics = folder.read("metrics")
    dev = metrics.get("dev")
    require(
        isinstance(dev, dict) and dev.get("labels") == list(folder.labels()),
        f"{folder.path / 'metrics.json'}: has no figures of development speakers, who judge an export; train again",
    )
    model = build_model(config, len(metrics["dev"]["labels"]))
    if not isinstance(model, WindowModel):
        raise TypeError(f"a {config.model.kind} has no stream")
    load_weights(model, folder)
    corpora = frozenset(speaker.split(":")[0] for speaker in folder.trained_on())
    return Trained(folder.path, config, data, augment, metrics, corpora, model.eval())
