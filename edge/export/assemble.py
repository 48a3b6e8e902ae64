"""A whole bundle out of exported files: the speakers, the golden values, and a manifest that says where it is from."""

from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from crnn.models.crnn import CRNN, count_macs, count_parameters
from crnn.renamed_keys import with_schema_4_keys
from crnn.run_config import RunConfig
from edge import bundle
from edge.export.calibration import Confidence
from edge.export.exporters import exporter
from edge.export.tensor_types import bytes_by_type, inventory
from edge.export.trained import Trained
from edge.export.verify import Row, torch_recognizer
from edge.prune.step import Step
from edge.stream.decision import DecisionConfig
from edge.stream.profile import Speakers, save_speakers

NOT_OF_A_BUNDLE = ("ms_per_window", "rtf", "failures", "ships")
"""Left out of a manifest: a bundle describes itself, not the machine it was made on"""


@dataclass(frozen=True)
class Told:
    """What is known of a model by the time its bundle is written."""

    rows: list[Row]
    """Those that ship decide which files stay"""
    decision: DecisionConfig
    confidence: Confidence
    development_split: str
    """Hash of the split whose development speakers the files were held against"""
    steps: list[Step]
    """Of the pruning, the trained model first; empty without any"""


def assemble(
    folder: Path,
    draft: bundle.Manifest,
    trained: Trained,
    model: CRNN,
    config: RunConfig,
    speakers: Speakers,
    told: Told,
) -> bundle.Manifest:
    """Make a bundle of the model files in `folder`: those that do not ship are removed, the rest is written.

    `model` and its `config` are what was exported, `speakers` how those it was trained on differ under it.
    """
    ship = {row.runtime: bundle.ModelFiles(row.scheme, *row.files.split(" + ")) for row in told.rows if row.ships}
    keep = {name for files in ship.values() for name in (files.encoder, files.head)}
    for path in folder.iterdir():
        if path.name not in keep:
            path.unlink()
    save_speakers(speakers, folder / bundle.SPEAKERS)
    origin = provenance(trained, model, config, told)
    origin["tensors"] = {name: bytes_by_type(inventory(folder / name)) for name in sorted(keep)}
    models = {runtime: asdict(files) for runtime, files in ship.items()}
    manifest = replace(draft, models=models, decision=told.decision, provenance=origin)
    return bundle.seal(folder, manifest, torch_recognizer(model, draft))


def provenance(trained: Trained, model: CRNN, config: RunConfig, told: Told) -> dict:
    """Where the bundle comes from and what is known about it."""
    metrics = trained.metrics
    headline = ("uar", "uar_ci95", "wa", "wa_ci95", "macro_f1", "ece", "n_clips")
    frames = config.geometry.frames_for(config.geometry.window_steps)
    ships = [row for row in told.rows if row.ships]
    return {
        **{key: metrics[key] for key in ("corpus", "protocol", "fold", "split_hash", "seed")},
        "corpora_heard": sorted(trained.trained_corpora),
        "synthetic": metrics["corpus"] == "synthetic",
        "speaker_dependent": metrics.get("speaker_dependent", False),
        "pruning": told.steps[-1].share if told.steps else 0.0,
        "pruning_steps": [_brief(step) for step in told.steps],
        "channels": list(config.model.channels),
        **with_schema_4_keys({"model": asdict(config.model), "window": asdict(config.window)}),
        "n_params": count_parameters(model),
        "macs_per_window": count_macs(model, config.features.n_mels, frames),
        "trained_model": {p: {k: metrics[p][k] for k in headline} for p in ("dev", "test") if p in metrics},
        "development_split": told.development_split,
        "files_on_dev": [
            {key: value for key, value in asdict(row).items() if key not in NOT_OF_A_BUNDLE} for row in ships
        ],
        "made_with": {name: version(name) for row in ships for name in exporter(row.runtime).MADE_WITH},
        "confidence_dev": asdict(told.confidence),
    }


def _brief(step: Step) -> dict:
    """In few bytes: a bundle is small."""
    return {
        "share": round(step.share, 3),
        "channels": "-".join(map(str, step.channels)),
        "lstm_units": step.lstm_units,
        "n_params": step.n_params,
        "macs_per_window": step.macs_per_window,
        "bytes": step.bytes,
        "uar": round(step.uar, 4),
    }
