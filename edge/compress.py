"""From a finished run to a bundle: prune, export, quantize, hold against the trained model, and only then write."""

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
import torch

from crnn import prepare as preparation
from crnn.config import InputError, StreamGeometry, require
from crnn.data import EvalClips, Paste, TrainClips
from crnn.fit import model_weights
from crnn.model import CRNN, OpenHead, count_macs, count_parameters
from crnn.protocols import protocol_facts
from crnn.run import RunFolder
from crnn.run_config import RunConfig
from crnn.task import BatchAugment
from crnn.views import Augment as ViewAugment
from crnn.views import open_views
from edge import bundle, runtimes, verify
from edge.calibrate import choose_decision, judge_decision
from edge.exporting import Part
from edge.inventory import bytes_by_type, inventory
from edge.prune import fine_tune, prune
from edge.speakers import describe, hear_openly, some_of_each

log = logging.getLogger(__name__)

CALIBRATION_BLOCKS = 2048
"""Blocks of development recordings from which the static scheme takes its ranges"""
NOT_OF_A_BUNDLE = ("ms_per_window", "rtf", "failures", "ships")
"""Left out of a manifest: a bundle describes itself, not the machine it was made on"""

Augmentation = Callable[[dict, RunConfig], "Chains"]
"""A run's augmentation settings and its configuration -> both chains"""


class Chains(Protocol):
    """What `augment.pipeline.chains` makes; this package may not import it."""

    view_settings: dict
    make_view_augment: Callable[[], ViewAugment]
    paste: Paste | None
    batch: BatchAugment


@dataclass(frozen=True)
class Request:
    """What is wanted of a bundle."""

    prune: float = 0.25
    """Share of the encoder's channels to drop"""
    fine_tune_epochs: int = 8
    """Epochs of training after pruning"""
    scheme: str = runtimes.INT8
    """Which files ship: a scheme, or "int8" for each runtime's own"""
    formats: tuple[str, ...] | None = None
    """Names of runtimes; None = every one whose exporter is installed and that knows the scheme"""
    coverage: float = 0.9
    """Share of decisions that are not "uncertain\""""
    limits: verify.Limits = field(default_factory=verify.Limits)

    def __post_init__(self) -> None:
        require(0 <= self.prune < 1, f"--prune {self.prune}: give a share from 0 to below 1")
        require(self.fine_tune_epochs >= 0, f"--fine-tune-epochs {self.fine_tune_epochs}: give 0 or more")
        require(0 < self.coverage <= 1, f"--coverage {self.coverage}: give a share above 0, at most 1")

    def shipping(self) -> dict[str, str]:
        """Runtime -> scheme of the files to ship; what is left out is logged.

        Raises InputError if a format is asked for whose extra is missing or that does not know the scheme, or if
        there is none.
        """
        if self.formats is not None:
            for name in self.formats:
                extra = runtimes.REGISTRY[name].export_extra
                require(
                    exporter(name).installed(),
                    f"--formats {name}: the {extra} extra is not installed; pip install '.[{extra}]'",
                )
            return {name: runtimes.scheme_of(name, self.scheme) for name in self.formats}
        made = {}
        for name, runtime in runtimes.REGISTRY.items():
            if self.scheme not in (runtimes.INT8, *runtime.schemes):
                log.warning("%s is left out: it has no %s files", name, self.scheme)
            elif not exporter(name).installed():
                extra = runtime.export_extra
                log.warning("%s is left out: its extra is not installed (pip install '.[%s]')", name, extra)
            else:
                made[name] = runtimes.scheme_of(name, self.scheme)
        require(bool(made), f"--scheme {self.scheme}: no exporter is installed; pip install '.[export]'")
        return made


class GateError(Exception):
    """Exported files are past a limit; `rows` is the table all the same."""

    def __init__(self, rows: list[verify.Row]) -> None:
        super().__init__("; ".join(f"{row.files}: {reason}" for row in rows for reason in row.failures))
        self.rows = rows


@dataclass(frozen=True)
class Trained:
    """A finished run, read back."""

    config: RunConfig
    data: dict[str, str]
    augment: dict
    metrics: dict
    corpora_heard: frozenset[str]
    """Those of the runs that this one started from included"""
    model: CRNN


def load_trained(folder: RunFolder) -> Trained:
    """Raises InputError, naming the file, if the run is unfinished, does not fit its configuration, or holds NaN."""
    config, data, augment = folder.read_config()
    metrics = folder.read("metrics")
    require(
        bool(metrics.get("dev", {}).get("labels")),
        f"{folder.path / 'metrics.json'}: has no figures of development speakers, who judge an export; train again",
    )
    checkpoint = folder.best_checkpoint
    require(checkpoint.is_file(), f"{checkpoint}: no such file; train again")
    model = CRNN(config.features, config.model, len(metrics["dev"]["labels"]))
    try:
        model.load_state_dict(model_weights(checkpoint))
    except RuntimeError as error:  # what load_state_dict raises for other names or shapes
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"{checkpoint}: does not fit {folder.path / 'config.json'} ({problem})") from error
    for name, value in model.state_dict().items():
        require(bool(torch.isfinite(value).all()), f"{checkpoint}: {name} holds NaN or infinite weights; train again")
    corpora = frozenset(speaker.split(":")[0] for speaker in folder.heard())
    return Trained(config, data, augment, metrics, corpora, model.eval())


def compress(
    run: Path, out: Path, request: Request, augmentation: Augmentation, data: dict[str, str], cache: Path | None
) -> tuple[list[verify.Row], bundle.Manifest]:
    """Make the bundle `out` from the run folder `run`; returns the table and the manifest.

    Raises InputError for input that cannot be used and GateError past a limit; `out` then does not exist.
    """
    require(not out.exists(), f"{out}: exists already; give another --out or remove it")
    shipping = request.shipping()
    trained = load_trained(RunFolder(run))
    config, labels = trained.config, tuple(trained.metrics["dev"]["labels"])
    require(
        "shared" not in protocol_facts(config.protocol),
        f"{run}: {config.protocol} has a label set per corpus, so some of its classes were never told apart; start "
        "another run from it (--init) and export that",
    )
    prepared = preparation.prepare(config, trained.data | data, cache)
    RunFolder(run).check_split(prepared.split)
    prepared = preparation.without_test(prepared)
    require(bool(prepared.split.dev), f"{run}: its split has no development recordings, by which an export is judged")
    dev = EvalClips(prepared.cache, prepared.split.dev, labels, config)
    draft = bundle.Manifest(
        bundle.SCHEMA, labels, config.features, config.geometry, bundle.DecisionConfig(), models={}, files={}
    )
    with bundle.new_folder(out) as folder:
        trained_uar = verify.figures_of(verify.hear_torch(trained.model, draft, dev), dev, labels)["uar"]
        small, small_config = _shrink(trained, request, prepared, dev, augmentation, cache)
        reference = verify.hear_torch(small, draft, dev)

        rows, shipped = [], {}
        blocks = calibration_blocks(dev, config.geometry)
        for runtime, scheme, encoder, head in export_all(small, small_config, tuple(shipping), blocks, folder):
            files = asdict(bundle.ModelFiles(scheme, encoder.name, head.name))
            candidate = bundle.build_recognizer(folder, replace(draft, models={runtime: files}), runtime, threads=1)
            row = verify.compare(candidate, dev, labels, reference, trained_uar, request.limits, scheme)
            size = encoder.stat().st_size + head.stat().st_size
            ships = scheme == shipping[runtime]
            names = f"{encoder.name} + {head.name}"
            rows.append(replace(row, files=names, runtime=runtime, bytes=size, ships=ships))
            if ships:
                shipped[runtime] = files
        if any(row.failures for row in rows if row.ships or row.scheme == "float32"):
            raise GateError(rows)

        keep = {files[part] for files in shipped.values() for part in ("encoder", "head")}
        for path in folder.iterdir():
            if path.name not in keep:
                path.unlink()
        truth = dev.labels[reference.owner]
        decision = choose_decision(reference.decisions, truth, request.coverage)
        confidence = judge_decision(reference.decisions, truth, decision)
        write_speakers(small, small_config, prepared, folder)
        origin = provenance(trained, request, small, small_config, rows) | {"confidence_dev": asdict(confidence)}
        origin["tensors"] = {name: bytes_by_type(inventory(folder / name)) for name in sorted(keep)}
        manifest = bundle.seal(folder, replace(draft, models=shipped, decision=decision, provenance=origin))
        for runtime in shipped:
            bundle.Bundle.open(folder).recognizer(runtime)  # what a device will do first
    return rows, manifest


def _shrink(
    trained: Trained,
    request: Request,
    prepared: preparation.Prepared,
    dev: EvalClips,
    augmentation: Augmentation,
    cache: Path | None,
) -> tuple[CRNN, RunConfig]:
    """Prune, and fine-tune in a scratch folder."""
    config = trained.config
    if request.prune == 0:
        return trained.model, config
    small, small_config = prune(trained.model, config, request.prune, len(prepared.split.labels))
    log.info("pruned: channels %s -> %s", config.model.channels, small_config.model.channels)
    if request.fine_tune_epochs:
        chain = augmentation(trained.augment, config)
        split = prepared.split
        views = open_views(
            prepared.cache, split.corpora, config.features, chain.view_settings, chain.make_view_augment, cache
        )
        train = TrainClips(views, split, small_config, chain.paste)
        with tempfile.TemporaryDirectory() as scratch:
            fine_tune(small, small_config, train, dev, chain.batch, request.fine_tune_epochs, Path(scratch))
    return small, small_config


def write_speakers(model: CRNN, config: RunConfig, prepared: preparation.Prepared, folder: Path) -> None:
    """Write `speakers.npz`: how the training speakers differ under this model; enrolment holds a person against it."""
    labels = prepared.split.labels
    clips = EvalClips(prepared.cache, some_of_each(prepared.split.train), labels, config)
    speakers = np.array([u.speaker for u in clips.utterances])
    described = describe(*hear_openly(model, config, clips), clips.labels, speakers, labels)
    np.savez_compressed(folder / bundle.SPEAKERS, **vars(described))


def exporter(runtime: str) -> ModuleType:
    """The module that makes a runtime's files: `installed` and `write`."""
    return import_module(runtimes.REGISTRY[runtime].exporter)


def calibration_blocks(clips: EvalClips, geometry: StreamGeometry) -> list[np.ndarray]:
    """Blocks of recordings as the streaming encoder meets them, `(1, n_mels, block_frames)` float32: every clip gives
    some, from all over it."""
    per_clip = max(1, CALIBRATION_BLOCKS // len(clips))
    blocks = []
    for index in range(0, len(clips), max(1, len(clips) // CALIBRATION_BLOCKS)):
        log_mel = clips[index][0].numpy()
        starts = range(0, log_mel.shape[1] - geometry.block_frames + 1, geometry.hop_frames)
        for start in starts[:: max(1, len(starts) // per_clip)][:per_clip]:
            block = log_mel[None, :, start : start + geometry.block_frames]
            blocks.append(np.array(block, dtype=np.float32, order="C"))
    return blocks


def parts(model: CRNN, config: RunConfig) -> tuple[Part, Part]:
    """Encoder and head as a device gets them."""
    g = config.geometry
    frames = torch.zeros(1, config.features.n_mels, g.block_frames)
    steps = torch.zeros(1, g.window_steps, config.model.encoder_features(config.features.n_mels))
    encoder = Part("encoder", model.encoder, frames, "log_mel", "steps")
    return encoder, Part("head", OpenHead(model.head), steps, "steps", "logits_and_pooled")


def export_all(
    model: CRNN, config: RunConfig, formats: tuple[str, ...], blocks: Sequence[np.ndarray], folder: Path
) -> list[tuple[str, str, Path, Path]]:
    """Write encoder and head in every format and scheme; returns (runtime, scheme, encoder file, head file)."""
    encoder, head = parts(model, config)
    return [
        (runtime, scheme, *files)
        for runtime in formats
        for scheme, files in exporter(runtime).write(encoder, head, blocks, folder).items()
    ]


def provenance(
    trained: Trained, request: Request, small: CRNN, small_config: RunConfig, rows: list[verify.Row]
) -> dict:
    """Where the bundle comes from and what is known about it."""
    config, metrics = trained.config, trained.metrics
    headline = ("uar", "uar_ci95", "wa", "wa_ci95", "macro_f1", "ece", "n_clips")
    frames = config.geometry.frames_for(config.geometry.window_steps)
    return {
        **{key: metrics[key] for key in ("corpus", "protocol", "fold", "split_hash", "seed")},
        "corpora_heard": sorted(trained.corpora_heard),
        "synthetic": metrics["corpus"] == "synthetic",
        "speaker_dependent": metrics.get("speaker_dependent", False),
        "pruning": request.prune,
        "channels": list(small_config.model.channels),
        "model": asdict(small_config.model),
        "window": asdict(small_config.window),
        "n_params": count_parameters(small),
        "macs_per_window": count_macs(small, config.features.n_mels, frames),
        "trained_model": {p: {k: metrics[p][k] for k in headline} for p in ("dev", "test") if p in metrics},
        "files_on_dev": [
            {key: value for key, value in asdict(row).items() if key not in NOT_OF_A_BUNDLE}
            for row in rows
            if row.ships
        ],
        "made_with": {name: version(name) for row in rows if row.ships for name in exporter(row.runtime).MADE_WITH},
    }
