"""The last step of an export: speakers, golden values, manifest and weights join the model files that ship."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from crnn.models.cost import count_macs, count_parameters
from crnn.models.crnn import CRNN, WindowModel
from crnn.renamed_keys import with_schema_4_keys
from crnn.run_config import RunConfig, plain_values
from edge import bundle
from edge.export.calibration import Confidence
from edge.export.exporters import exporter
from edge.export.source import Source
from edge.export.speaker_stats import some_of_each, speakers_of
from edge.export.tensor_types import bytes_by_type, inventory
from edge.export.verify import Row, torch_recognizer
from edge.export.weights import write_weights
from edge.prune.step import Step
from edge.stream.decision import DecisionConfig
from edge.stream.profile import save_speakers

NOT_IN_MANIFEST = ("ms_per_window", "rtf", "failures", "ships")
"""Left out of a manifest: a bundle describes itself, not the machine it was made on"""


@dataclass(frozen=True)
class Findings:
    """What the steps before found out about the exported model."""

    rows: Sequence[Row]
    """Those that ship decide which files stay"""
    steps: Sequence[Step]
    """Of the pruning, the trained model first; empty without any"""
    decision: DecisionConfig
    confidence: Confidence


def assemble(
    folder: Path, source: Source, model: WindowModel, config: RunConfig, findings: Findings
) -> bundle.Manifest:
    """Make a bundle of the model files in `folder`: remove those that do not ship, write everything else.

    `model` and its `config` are what was exported: the trained model of `source`, or a pruned one.
    """
    models = {row.runtime: row.files for row in findings.rows if row.ships}
    names = sorted({name for files in models.values() for name in (files.encoder, files.head)})
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()
    voices = source.clips(some_of_each(source.prepared.split.train))
    save_speakers(speakers_of(model, config, voices, source.labels), folder / bundle.SPEAKERS)
    origin = provenance(source, model, config, findings)
    origin["tensors"] = {name: bytes_by_type(inventory(folder / name)) for name in names}
    draft = source.draft()
    manifest = replace(
        draft,
        models={runtime: asdict(files) for runtime, files in models.items()},
        decision=findings.decision,
        provenance=origin,
    )
    manifest = bundle.seal(folder, manifest, torch_recognizer(model, draft))
    if isinstance(model, CRNN) and any(files.scheme == "float32" for files in models.values()):
        write_weights(folder, manifest, model)
    return manifest


def provenance(source: Source, model: WindowModel, config: RunConfig, findings: Findings) -> dict:
    """Where the bundle comes from and what is known about it."""
    trained, steps, values = source.trained, findings.steps, plain_values(config)
    metrics = trained.metrics
    frames = config.geometry.frames_for(config.geometry.window_steps)
    ships = [row for row in findings.rows if row.ships]
    return {
        **{key: metrics[key] for key in ("corpus", "protocol", "fold", "split_hash", "seed")},
        "corpora_heard": sorted(trained.trained_corpora),
        "synthetic": metrics["corpus"] == "synthetic",
        "speaker_dependent": metrics.get("speaker_dependent", False),
        **({"taught_by": metrics["taught_by"]} if metrics.get("taught_by") else {}),
        "pruning": steps[-1].share if steps else 0.0,
        "pruning_steps": [_brief(step) for step in steps],
        "channels": list(config.model.channels),
        **with_schema_4_keys({"model": values["model"], "window": asdict(config.window)}),
        **({"system": values["system"]} if "system" in values else {}),
        "n_params": count_parameters(model),
        "macs_per_window": count_macs(model, config.features.n_mels, frames),
        "trained_model": {p: headline(metrics[p]) for p in ("dev", "test") if p in metrics},
        "development_split": source.prepared.split.hash,
        "files_on_dev": [
            {key: value for key, value in row.facts().items() if key not in NOT_IN_MANIFEST} for row in ships
        ],
        "made_with": {name: version(name) for row in ships for name in exporter(row.runtime).MADE_WITH},
        "confidence_dev": asdict(findings.confidence),
    }


def headline(figures: dict) -> dict:
    """Of development or test speakers; of the arousal, if the model estimates it, the correlations, in few bytes."""
    named = {key: figures[key] for key in ("uar", "uar_ci95", "wa", "wa_ci95", "macro_f1", "ece", "n_clips")}
    if "arousal" not in figures:
        return named
    return named | {
        "arousal": {
            corpus: {name: found[name] and round(found[name], 3) for name in ("spearman", "ccc") if name in found}
            for corpus, found in figures["arousal"].items()
        }
    }


def _brief(step: Step) -> dict:
    """A step in few bytes, because a bundle is small."""
    return {
        "share": round(step.share, 3),
        "channels": "-".join(map(str, step.channels)),
        "lstm_units": step.lstm_units,
        "n_params": step.n_params,
        "macs_per_window": step.macs_per_window,
        "bytes": step.bytes,
        "uar": round(step.uar, 4),
    }
