"""Gradual pruning: in each step some channels and units are removed, and the rest is trained further."""

import logging
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from crnn.data.augmented import AugmentedCopies
from crnn.data.loaders import BatchAugment, EvalClips, TrainClips, eval_loader, train_loader
from crnn.data.protocols import Split
from crnn.errors import require
from crnn.metrics import dev_uar
from crnn.models.cost import count_macs, count_parameters
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from crnn.training.losses import FocalLoss
from crnn.training.predict import predict
from edge.prune.importance import CRITERIA
from edge.prune.step import Step
from edge.prune.structured import cut, most_important
from edge.prune.targets import OutOfReach, PruningTargets, Trial

log = logging.getLogger(__name__)

SCORED_BATCHES = 16
"""Batches of training clips from which a criterion computes importance"""
SLACK = 0.05
"""UAR that a step before the last may lose beyond the limit: later steps, with more training, can regain it. Past that
pruning ends"""
SEEDS_APART = 1000
"""Difference between the seeds of two steps, so that no step repeats another's order and augmentation"""


@dataclass(frozen=True)
class Recipe:
    """How to prune; the defaults by measurement (docs/experiments.md)."""

    criterion: str = "taylor"
    """Name of a criterion of `edge.prune.importance`"""
    step: float = 0.2
    """Largest share of the remaining channels and units to remove in a step; 1 = all at once"""
    step_epochs: int = 2
    """Epochs of training after every step but the last"""
    epochs: int = 8
    """Epochs of training after the last step"""
    distill: bool = True
    """Train towards the unpruned model's probabilities too"""

    def __post_init__(self) -> None:
        require(self.criterion in CRITERIA, f"criterion {self.criterion}: give one of {', '.join(CRITERIA)}")
        require(0 < self.step <= 1, f"pruning step {self.step}: give a share above 0, at most 1")
        for name in ("step_epochs", "epochs"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; give 0 or more")

    def shares(self, share: float) -> list[float]:
        """The steps to `share`, as shares of the trained model; every step removes the same share of what remains.

        >>> [round(share, 2) for share in Recipe(step=0.3).shares(0.5)]
        [0.29, 0.5]
        >>> Recipe(step=1).shares(0.5), Recipe().shares(0)
        ([0.5], [])
        """
        if share == 0:
            return []
        n = 1 if self.step == 1 else math.ceil(math.log(1 - share) / math.log(1 - self.step) - 1e-9)
        return [1 - (1 - share) ** (number / n) for number in range(1, n)] + [share]


@dataclass(frozen=True)
class FineTuneData:
    """Training speakers to fine-tune a pruned model on, and development speakers to judge it by."""

    copies: AugmentedCopies
    split: Split
    dev: EvalClips
    augment: BatchAugment


def describe(model: CRNN, config: RunConfig, share: float, dev: EvalClips) -> Step:
    """Size, cost and development UAR of a model in torch."""
    logits = torch.from_numpy(predict(model, config, eval_loader(dev, config)))
    frames = config.geometry.frames_for(config.geometry.window_steps)
    return Step(
        share,
        config.model.channels,
        config.model.lstm_units,
        count_parameters(model),
        count_macs(model, config.features.n_mels, frames),
        dev_uar(logits.softmax(-1), torch.from_numpy(dev.labels)),
    )


def pruning_steps(
    model: CRNN, config: RunConfig, share: float, recipe: Recipe, data: FineTuneData
) -> Iterator[tuple[CRNN, RunConfig, float]]:
    """After every step to `share`: the model, trained further, its configuration, and the share pruned so far.

    All randomness is a function of the run's seed and the number of the step.
    """
    smaller, smaller_config = model, config
    # The adversary and the projection of the contrast are no part of a trained model: they would start anew.
    tuned_by = replace(config.loss, adversary_weight=0.0, contrast_weight=0.0)
    original = CRITERIA["magnitude"](model, (), FocalLoss(0))  # for the number of channels and units
    shares = recipe.shares(share)
    for number, until in enumerate(shares, 1):
        seeded = replace(smaller_config, seed=config.seed + SEEDS_APART * number, loss=tuned_by)
        train = TrainClips(data.copies, data.split, seeded)
        drawn = islice(train_loader(train, seeded, 0, 1), SCORED_BATCHES)
        batches = ((log_mel, targets) for log_mel, targets, *_ in drawn)  # an exported model chooses among all labels
        importance = CRITERIA[recipe.criterion](smaller, batches, FocalLoss(config.loss.gamma))
        smaller, seeded = cut(smaller, seeded, most_important(importance, until, original))
        smaller_config = replace(seeded, seed=config.seed, loss=config.loss)
        epochs = recipe.epochs if number == len(shares) else recipe.step_epochs
        if epochs:
            from edge.prune.fine_tune import fine_tune  # Lightning, which takes seconds to import

            with tempfile.TemporaryDirectory() as scratch:
                teacher = model if recipe.distill else None
                fine_tune(smaller, seeded, train, data.dev, data.augment, epochs, Path(scratch), teacher)
        yield smaller, smaller_config, until


def prune_gradually(
    model: CRNN,
    config: RunConfig,
    targets: PruningTargets,
    recipe: Recipe,
    max_uar_drop: float,
    data: FineTuneData,
    measure: Callable[[CRNN, RunConfig, int], Trial],
) -> tuple[CRNN, RunConfig, list[Step]]:
    """Prune the given share, or the smallest that meets the targets. Returns the model, its configuration and the
    steps, the trained model first.

    `measure`: model, configuration, number of steps in all -> size and time of its bundle. Raises InputError if no
    share meets the targets, and OutOfReach if the share that does loses more development UAR than `max_uar_drop`.
    """
    share = targets.share(lambda tried: _try_untrained(model, config, tried, recipe, measure))
    total = len(recipe.shares(share)) + 1
    trial = measure(model, config, total)
    steps = [_measured(model, config, 0.0, data.dev, trial)]
    pruned, pruned_config = model, config
    for pruned, pruned_config, until in pruning_steps(model, config, share, recipe, data):
        trial = measure(pruned, pruned_config, total)
        steps.append(_measured(pruned, pruned_config, until, data.dev, trial))
        if not _lost(steps, steps[-1]) <= max_uar_drop + SLACK:
            break
    if not (_lost(steps, steps[-1]) <= max_uar_drop and targets.met(trial)):
        raise _out_of_reach(steps, targets.given or f"--prune {share:g}", max_uar_drop)
    return pruned, pruned_config, steps


def _try_untrained(
    model: CRNN,
    config: RunConfig,
    share: float,
    recipe: Recipe,
    measure: Callable[[CRNN, RunConfig, int], Trial],
) -> Trial:
    """Size and time do not depend on the weights, so the search for a share trains nothing."""
    remaining = most_important(CRITERIA["magnitude"](model, (), FocalLoss(0)), share)
    trial = measure(*cut(model, config, remaining), len(recipe.shares(share)) + 1)
    log.info("tried %.0f %% pruned: %s", 100 * share, trial)
    return trial


def _measured(model: CRNN, config: RunConfig, share: float, dev: EvalClips, trial: Trial) -> Step:
    step = replace(describe(model, config, share, dev), **vars(trial))
    log.info("%.0f %% pruned: %s, development UAR %.1f %%", 100 * share, trial, 100 * step.uar)
    return step


def _lost(steps: list[Step], step: Step) -> float:
    """Development UAR lost against the trained model."""
    return steps[0].uar - step.uar


def _out_of_reach(steps: list[Step], wanted: str, max_uar_drop: float) -> OutOfReach:
    def brief(step: Step) -> str:
        points = f"{100 * _lost(steps, step):.1f} points of development UAR lost"
        return f"{step.share:.0%} pruned, {step.bytes:,} bytes, rtf {step.rtf:.4f}, {points}"

    best = [step for step in steps if step is steps[0] or _lost(steps, step) <= max_uar_drop][-1]
    return OutOfReach(
        f"{wanted} cannot be met: {brief(steps[-1])} (limit {100 * max_uar_drop:g}); the best within the limit: "
        f"{brief(best)}; try more --fine-tune-epochs",
        steps,
    )
