"""From a trained model to a verified bundle: prune, export, quantize, verify, assemble."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from crnn.cli.installed import install
from crnn.errors import require
from crnn.files.atomic import new_folder
from crnn.metrics import at_chance
from crnn.models.crnn import CRNN, WindowModel
from crnn.run_config import RunConfig
from edge import bundle, runtimes
from edge.export.assemble import Findings, assemble
from edge.export.calibration import CalibrationData, Confidence, choose_decision, judge_decision
from edge.export.cost import FEW_ROUNDS, ROUNDS, BundleCost
from edge.export.exporters import calibration_blocks, export_all, exporter
from edge.export.limits import ExportLimits, VerificationError, check_request
from edge.export.source import Source
from edge.export.verify import Row, StreamLogits, compare_all, figures_of, stream_torch
from edge.prune.gradual import FineTuneData, Recipe, prune_gradually
from edge.prune.step import Step
from edge.prune.targets import PruningTargets
from edge.stream.decision import DecisionConfig

log = logging.getLogger(__name__)

TRIAL_BLOCKS = 32
"""Calibration blocks where only size and time of a model are measured: more change neither"""


@dataclass(frozen=True)
class Request:
    """What the bundle must be."""

    out: Path
    """Folder to write; must not exist"""
    shipping: Mapping[str, str]
    """Runtime -> scheme of the files that ship (`shipping_schemes`)"""
    targets: PruningTargets = field(default_factory=PruningTargets)
    """How much is pruned, or what pruning must reach"""
    recipe: Recipe = field(default_factory=Recipe)
    """How it is pruned"""
    coverage: float = 0.9
    """Share of decisions that are not "uncertain\""""
    temperature: float | None = None
    """Of the probabilities; None = fitted to the development speakers"""
    limits: ExportLimits = field(default_factory=ExportLimits)

    def __post_init__(self) -> None:
        check_request(self.out, self.coverage, self.temperature)


@dataclass(frozen=True)
class Compressed:
    """The bundle that was written, and the tables of how it came about."""

    manifest: bundle.Manifest
    bytes: int
    """Of all files that a device needs"""
    rows: list[Row]
    steps: list[Step]
    """Of the pruning, the trained model first; empty without any"""


def shipping_schemes(scheme: str, formats: tuple[str, ...] | None) -> dict[str, str]:
    """Runtime -> scheme of the files to ship.

    `scheme`: one of `edge.runtimes.SCHEMES`, or "int8" for each runtime's own. `formats`: names of runtimes; None for
    every one that has the scheme and an installed exporter; the others are logged. Raises InputError if a named runtime
    lacks the scheme or its exporter, or if there is none.
    """
    if formats is not None:
        for name in formats:
            extra = runtimes.REGISTRY[name].export_extra
            require(
                exporter(name).installed(), f"--formats {name}: the {extra} extra is not installed; {install(extra)}"
            )
        return {name: runtimes.scheme_of(name, scheme) for name in formats}
    found = {}
    for name, runtime in runtimes.REGISTRY.items():
        if scheme not in (runtimes.INT8, *runtime.schemes):
            log.warning("%s is left out: it has no %s files", name, scheme)
        elif not exporter(name).installed():
            extra = runtime.export_extra
            log.warning("%s is left out: its extra is not installed (%s)", name, install(extra))
        else:
            found[name] = runtimes.scheme_of(name, scheme)
    require(bool(found), f"--scheme {scheme}: no exporter is installed; {install('export')}")
    return found


def compress(source: Source, request: Request, tuning: FineTuneData | None) -> Compressed:
    """Make the bundle `request.out` from a trained model; `tuning` is needed if `request.targets` ask for pruning.

    Raises InputError for input that cannot be used or targets that cannot be met (`edge.prune.targets.OutOfReach` if
    steps were made), and VerificationError past a limit; `request.out` then does not exist.
    """
    config, draft, shipping = source.trained.config, source.draft(), request.shipping
    blocks = calibration_blocks(source.dev, config.geometry)
    with new_folder(request.out) as folder:
        rounds = FEW_ROUNDS if request.targets.rtf is None else ROUNDS
        measure = BundleCost(shipping, draft, blocks[:TRIAL_BLOCKS], rounds)
        model, config, steps = _pruned(source, request, tuning, measure)
        pairs = export_all(model, config, tuple(shipping), blocks, folder)
        reference = stream_torch(model, draft, source.dev)
        unpruned = reference if model is source.trained.model else stream_torch(source.trained.model, draft, source.dev)
        trained_uar = figures_of(unpruned, source.dev, source.labels)["uar"]
        rows = compare_all(pairs, shipping, draft, source.dev, reference, trained_uar, request.limits)
        if any(row.comparison.failures for row in rows if row.ships or row.files.scheme == "float32"):
            raise VerificationError(steps, rows)
        decision, confidence = _calibrated(source, reference, request)
        manifest = assemble(folder, source, model, config, Findings(rows, steps, decision, confidence))
        for runtime in shipping:
            bundle.Bundle.open(folder).recognizer(runtime)  # as a device opens it
        size = sum(facts["bytes"] for facts in manifest.files.values()) + (folder / bundle.MANIFEST).stat().st_size
        request.targets.check_size(size)
    return Compressed(manifest, size, rows, steps)


def _pruned(
    source: Source, request: Request, tuning: FineTuneData | None, measure: BundleCost
) -> tuple[WindowModel, RunConfig, list[Step]]:
    """The model to export, its configuration and the pruning steps; without a target the trained model itself."""
    trained = source.trained
    if not request.targets.any:
        return trained.model, trained.config, []
    if tuning is None or not isinstance(trained.model, CRNN):
        raise ValueError("pruning needs fine-tuning data and a CRNN")
    limit = request.limits.max_uar_drop
    return prune_gradually(trained.model, trained.config, request.targets, request.recipe, limit, tuning, measure)


def _calibrated(source: Source, reference: StreamLogits, request: Request) -> tuple[DecisionConfig, Confidence]:
    """Temperature and threshold for the exported model, and how reliable its probabilities then are."""
    truth = source.dev.labels[reference.owner]
    speakers = np.array([u.speaker for u in source.dev.utterances])[reference.owner]
    decision, chosen_on = choose_decision(
        reference.decisions, truth, request.coverage, reference.owner, speakers, request.temperature
    )
    chosen_on = replace(chosen_on, at_chance=at_chance(source.trained.metrics["dev"], "development speakers"))
    for problem in _doubts(chosen_on, decision):
        log.warning("%s", problem)
    return decision, judge_decision(reference.decisions, truth, decision, chosen_on)


def _doubts(chosen_on: CalibrationData, decision: DecisionConfig) -> Iterator[str]:
    """What a user of the bundle has to know, a line each."""
    if chosen_on.at_chance:
        yield f"WARNING: {chosen_on.at_chance}; the model may know nothing, and its bundle says so"
    if chosen_on.unfitted:
        yield (
            f"temperature and threshold are not fitted ({chosen_on.unfitted}): {decision.temperature:g}, and uncertain "
            f"below {decision.min_confidence:.2f}; more development speakers would calibrate the confidence"
        )
