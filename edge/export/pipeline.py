"""From a finished run to a bundle: prune, export, quantize, hold against the trained model, and only then write."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from crnn.cli.installed import install
from crnn.data import prepare as preparation
from crnn.data.augmented import Augment as CopyAugment
from crnn.data.augmented import open_augmented
from crnn.data.loaders import BatchAugment, EvalClips, Paste
from crnn.data.protocols import protocol_facts
from crnn.errors import require
from crnn.metrics import at_chance
from crnn.run_config import RunConfig
from edge import bundle, runtimes
from edge.export import verify
from edge.export.assemble import Told, assemble
from edge.export.calibration import CalibrationData, choose_decision, judge_decision
from edge.export.exporters import calibration_blocks, export_all, exporter
from edge.export.limits import ExportLimits, VerificationError
from edge.export.speaker_stats import some_of_each, speakers_of
from edge.export.trained import Trained, open_trained
from edge.export.trials import Trials
from edge.prune.gradual import FineTuneData, Recipe, shrink
from edge.prune.step import Step
from edge.prune.targets import PruningTargets
from edge.stream.decision import DecisionConfig

log = logging.getLogger(__name__)

FEW = 32
"""Blocks that a model is calibrated on where it is tried alone: its size is the same"""

Augmentation = Callable[[dict, RunConfig], "Chains"]
"""A run's augmentation settings and its configuration -> both chains"""


class Chains(Protocol):
    """What `augment.pipeline.chains` makes; this package may not import it."""

    copy_settings: dict
    make_copy_augment: Callable[[], CopyAugment]
    paste: Paste | None
    batch: BatchAugment


@dataclass(frozen=True)
class Request:
    """What is wanted of a bundle."""

    wish: PruningTargets = field(default_factory=PruningTargets)
    """How much is pruned, or what has to be reached by it"""
    recipe: Recipe = field(default_factory=Recipe)
    """How it is pruned"""
    scheme: str = runtimes.INT8
    """Which files ship: a scheme, or "int8" for each runtime's own"""
    formats: tuple[str, ...] | None = None
    """Names of runtimes; None = every one whose exporter is installed and that knows the scheme"""
    coverage: float = 0.9
    """Share of decisions that are not "uncertain\""""
    limits: ExportLimits = field(default_factory=ExportLimits)

    def __post_init__(self) -> None:
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
                    f"--formats {name}: the {extra} extra is not installed; {install(extra)}",
                )
            return {name: runtimes.scheme_of(name, self.scheme) for name in self.formats}
        made = {}
        for name, runtime in runtimes.REGISTRY.items():
            if self.scheme not in (runtimes.INT8, *runtime.schemes):
                log.warning("%s is left out: it has no %s files", name, self.scheme)
            elif not exporter(name).installed():
                extra = runtime.export_extra
                log.warning("%s is left out: its extra is not installed (%s)", name, install(extra))
            else:
                made[name] = runtimes.scheme_of(name, self.scheme)
        require(bool(made), f"--scheme {self.scheme}: no exporter is installed; {install('export')}")
        return made


def compress(
    run: Path, out: Path, request: Request, augmentation: Augmentation, data: dict[str, str], cache: Path | None
) -> tuple[list[verify.Row], list[Step], bundle.Manifest]:
    """Make the bundle `out` from `run`, a run folder or an unpruned float32 bundle; returns the table, the steps of the
    pruning, and the manifest.

    Raises InputError for input that cannot be used and wishes that cannot be met (`targets.OutOfReach` where steps
    were made), and VerificationError past a limit; `out` then does not exist.
    """
    require(not out.exists(), f"{out}: exists already; give another --out or remove it")
    shipping = request.shipping()
    trained = open_trained(run)
    config, labels = trained.config, tuple(trained.metrics["dev"]["labels"])
    prunes = request.wish.prune != 0 or bool(request.wish.targets)
    require(
        trained.augment_known or not prunes,
        f"{run}: a bundle does not keep what pruning needs; add --prune 0, or give the run folder",
    )
    require(
        "shared" not in protocol_facts(config.protocol),
        f"{run}: {config.protocol} has a label set per corpus, so some of its classes were never told apart; start "
        "another run from it (--init) and export that",
    )
    prepared = preparation.prepare(config, trained.places(data), cache)
    trained.check_split(prepared.split)
    prepared = preparation.without_test(prepared)
    require(bool(prepared.split.dev), f"{run}: its split has no development recordings, by which an export is judged")
    dev = EvalClips(prepared.cache, prepared.split.dev, labels, config)
    blocks = calibration_blocks(dev, config.geometry)
    draft = bundle.Manifest(
        bundle.SCHEMA, labels, config.features, config.geometry, DecisionConfig(), models={}, files={}
    )
    with bundle.new_folder(out) as folder:
        small, small_config, steps = trained.model, config, []
        if prunes:
            ground = open_fine_tune_data(trained, prepared, dev, augmentation, cache)
            trials = Trials(trained, shipping, draft, blocks[:FEW])
            small, small_config, steps = shrink(
                trained.model, config, request.wish, request.recipe, request.limits.max_uar_drop, ground, trials
            )
        reference = verify.stream_torch(small, draft, dev)
        unpruned = verify.stream_torch(trained.model, draft, dev) if prunes else reference
        trained_uar = verify.figures_of(unpruned, dev, labels)["uar"]

        rows = []
        for runtime, scheme, encoder, head in export_all(small, small_config, tuple(shipping), blocks, folder):
            files = asdict(bundle.ModelFiles(scheme, encoder.name, head.name))
            candidate = bundle.build_recognizer(folder, replace(draft, models={runtime: files}), runtime, threads=1)
            row = verify.compare(candidate, dev, labels, reference, trained_uar, request.limits, scheme)
            wide = [name for path in (encoder, head) for name in exporter(runtime).saturating(path)]
            if wide:
                failure = f"weights {', '.join(wide)} use 8 bits: x86 processors without VNNI would compute other sums"
                row = replace(row, failures=(*row.failures, failure))
            size = encoder.stat().st_size + head.stat().st_size
            ships = scheme == shipping[runtime]
            names = f"{encoder.name} + {head.name}"
            rows.append(replace(row, files=names, runtime=runtime, bytes=size, ships=ships))
        if any(row.failures for row in rows if row.ships or row.scheme == "float32"):
            raise VerificationError(steps, rows)

        truth = dev.labels[reference.owner]
        spoken_by = np.array([u.speaker for u in dev.utterances])[reference.owner]
        decision, grounds = choose_decision(reference.decisions, truth, request.coverage, reference.owner, spoken_by)
        grounds = replace(grounds, at_chance=at_chance(trained.metrics["dev"], "development speakers"))
        for problem in _doubts(grounds, decision):
            log.warning("%s", problem)
        confidence = judge_decision(reference.decisions, truth, decision, grounds)
        told = Told(rows, decision, confidence, prepared.split.hash, steps)
        voices = EvalClips(prepared.cache, some_of_each(prepared.split.train), labels, config)
        speakers = speakers_of(small, small_config, voices, labels)
        manifest = assemble(folder, draft, trained, small, small_config, speakers, told)
        for runtime in shipping:
            bundle.Bundle.open(folder).recognizer(runtime)  # what a device will do first
        request.wish.check_size(sum(path.stat().st_size for path in folder.iterdir()))
    return rows, steps, manifest


def _doubts(grounds: CalibrationData, decision: DecisionConfig) -> Iterator[str]:
    """What whoever uses the bundle has to know, a line each."""
    if grounds.at_chance:
        yield f"WARNING: {grounds.at_chance}; the model may know nothing, and its bundle says so"
    if grounds.unfitted:
        yield (
            f"temperature and threshold are not fitted ({grounds.unfitted}): {decision.temperature:g}, and uncertain "
            f"below {decision.min_confidence:.2f}; more development speakers would calibrate the confidence"
        )


def open_fine_tune_data(
    trained: Trained, prepared: preparation.Prepared, dev: EvalClips, augmentation: Augmentation, cache: Path | None
) -> FineTuneData:
    """The training speakers with the run's own augmentation, and the development speakers."""
    config, split = trained.config, prepared.split
    chain = augmentation(trained.augment, config)
    copies = open_augmented(
        prepared.cache, split.corpora, config.features, chain.copy_settings, chain.make_copy_augment, cache
    )
    return FineTuneData(copies, split, dev, chain.paste, chain.batch)
