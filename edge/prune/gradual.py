"""The way from a trained model to a smaller one: some leave, the rest is trained further, and so on, while the
development speakers are still understood."""

import logging
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from crnn.data.augmented import AugmentedFeatures
from crnn.data.loaders import BatchAugment, EvalClips, Paste, TrainClips, eval_loader, train_loader
from crnn.data.protocols import Split
from crnn.errors import require
from crnn.metrics import dev_uar
from crnn.models.crnn import CRNN, count_macs, count_parameters
from crnn.run_config import RunConfig
from crnn.training.losses import FocalLoss
from crnn.training.predict import predict
from edge.prune.importance import CRITERIA
from edge.prune.step import Step
from edge.prune.structured import cut, most_important
from edge.prune.targets import OutOfReach, PruningTargets, Trial

log = logging.getLogger(__name__)

SCORED_BATCHES = 16
"""Batches of training clips that a criterion may look at"""
SLACK = 0.05
"""UAR that a step before the last may lose beyond the limit, and be made good: it has a quarter of the training. Past
that the way ends"""
SEEDS_APART = 1000
"""Between the seeds of two steps, so that no step repeats another's order and augmentation"""


@dataclass(frozen=True)
class Recipe:
    """How to prune; the defaults by measurement (benchmarks/pruning.py)."""

    criterion: str = "taylor"
    """What leaves first: see `edge.prune.importance`"""
    step: float = 0.2
    """Share, of what is still there, that leaves in a step, at most; 1 = all at once"""
    step_epochs: int = 2
    """Epochs of training after every step but the last"""
    epochs: int = 8
    """Epochs after the last"""
    distill: bool = True
    """Train towards the unpruned model's answers too"""

    def __post_init__(self) -> None:
        require(self.criterion in CRITERIA, f"criterion {self.criterion}: give one of {', '.join(CRITERIA)}")
        require(0 < self.step <= 1, f"pruning step {self.step}: give a share above 0, at most 1")
        for name in ("step_epochs", "epochs"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; give 0 or more")

    def shares(self, share: float) -> list[float]:
        """The steps to `share`, as shares of the trained model; every step takes the same share of what is left.

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
    """Where a pruned model learns and is judged."""

    copies: AugmentedFeatures
    split: Split
    dev: EvalClips
    paste: Paste | None
    augment: BatchAugment


def describe(model: CRNN, config: RunConfig, share: float, dev: EvalClips) -> Step:
    """Size, cost and development UAR of a model in torch."""
    logits = torch.from_numpy(predict(model, config, eval_loader(dev, config)))
    frames = config.geometry.frames_for(config.geometry.window_steps)
    return Step(
        share,
        config.model.channels,
        config.model.lstm_units if config.model.head != "pool" else 0,
        count_parameters(model),
        count_macs(model, config.features.n_mels, frames),
        dev_uar(logits.softmax(-1), torch.from_numpy(dev.labels)),
    )


def pruning_steps(
    model: CRNN, config: RunConfig, share: float, recipe: Recipe, ground: FineTuneData
) -> Iterator[tuple[CRNN, RunConfig, float]]:
    """The model after every step to `share`, trained further, its configuration and the share that has left.

    All chance is a function of the run's seed and the number of the step.
    """
    smaller, smaller_config = model, config
    original = CRITERIA["magnitude"](model, (), FocalLoss(0))  # for how many there were
    shares = recipe.shares(share)
    for number, until in enumerate(shares, 1):
        seeded = replace(smaller_config, seed=config.seed + SEEDS_APART * number)
        train = TrainClips(ground.copies, ground.split, seeded, ground.paste)
        drawn = islice(train_loader(train, seeded, 0, 1), SCORED_BATCHES)
        batches = ((log_mel, targets) for log_mel, targets, _ in drawn)  # in what is exported all labels compete
        importance = CRITERIA[recipe.criterion](smaller, batches, FocalLoss(config.loss.gamma))
        smaller, seeded = cut(smaller, seeded, most_important(importance, until, original))
        smaller_config = replace(seeded, seed=config.seed)
        epochs = recipe.epochs if number == len(shares) else recipe.step_epochs
        if epochs:
            from edge.prune.fine_tune import fine_tune  # Lightning, which takes seconds to import

            with tempfile.TemporaryDirectory() as scratch:
                teacher = model if recipe.distill else None
                fine_tune(smaller, seeded, train, ground.dev, ground.augment, epochs, Path(scratch), teacher)
        yield smaller, smaller_config, until


def shrink(
    model: CRNN,
    config: RunConfig,
    wish: PruningTargets,
    recipe: Recipe,
    max_uar_drop: float,
    ground: FineTuneData,
    measure: Callable[[CRNN, RunConfig, int], Trial],
) -> tuple[CRNN, RunConfig, list[Step]]:
    """Prune as much as is wished, or as little as the wished targets allow; returns the model, its configuration and
    the steps, the trained model first.

    `measure`: model, configuration, steps there will be in all -> what its bundle weighs and costs. Raises InputError
    if no pruning fulfils the wish, and OutOfReach if the one that does loses more development UAR than the limit.
    """

    def untrained(share: float) -> Trial:
        kept = most_important(CRITERIA["magnitude"](model, (), FocalLoss(0)), share)
        tried = measure(*cut(model, config, kept), len(recipe.shares(share)) + 1)
        log.info("tried %.0f %% pruned: %s", 100 * share, tried)
        return tried

    share = wish.share(untrained)
    total = len(recipe.shares(share)) + 1
    steps: list[Step] = []

    def note(smaller: CRNN, smaller_config: RunConfig, until: float) -> Trial:
        trial = measure(smaller, smaller_config, total)
        steps.append(replace(describe(smaller, smaller_config, until, ground.dev), **vars(trial)))
        log.info("%.0f %% pruned: %s, development UAR %.1f %%", 100 * until, trial, 100 * steps[-1].uar)
        return trial

    def lost(step: Step) -> float:
        return steps[0].uar - step.uar

    trial = note(model, config, 0.0)
    smaller, smaller_config = model, config
    for smaller, smaller_config, until in pruning_steps(model, config, share, recipe, ground):
        trial = note(smaller, smaller_config, until)
        if not lost(steps[-1]) <= max_uar_drop + SLACK:
            break
    if not (lost(steps[-1]) <= max_uar_drop and wish.met(trial)):
        best = [step for step in steps if step is steps[0] or lost(step) <= max_uar_drop][-1]
        raise OutOfReach(
            f"{wish.targets or f'--prune {share:g}'} cannot be met: {_told(steps[-1], lost(steps[-1]))} "
            f"(limit {100 * max_uar_drop:g}); the best within the limit: {_told(best, lost(best))}; "
            "try more --fine-tune-epochs",
            steps,
        )
    return smaller, smaller_config, steps


def _told(step: Step, lost: float) -> str:
    points = f"{100 * lost:.1f} points of development UAR lost"
    return f"{step.share:.0%} pruned, {step.bytes:,} bytes, rtf {step.rtf:.4f}, {points}"
