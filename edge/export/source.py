"""What a bundle is made from: a trained model, the recordings it is judged on, and the data it is fine-tuned on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from crnn.data import prepare as preparation
from crnn.data.augmented import Augment, open_augmented
from crnn.data.corpora import Utterance
from crnn.data.loaders import BatchAugment, EvalClips
from crnn.data.protocols import protocol_facts
from crnn.errors import require
from crnn.run_config import RunConfig
from edge import bundle
from edge.export.trained import Trained, open_trained
from edge.prune.gradual import FineTuneData
from edge.stream.decision import DecisionConfig


@dataclass(frozen=True)
class Source:
    """A trained model and its recordings, the test speakers left out."""

    trained: Trained
    prepared: preparation.Prepared

    @property
    def labels(self) -> tuple[str, ...]:
        """Emotions, in the order of the logits."""
        return tuple(self.trained.metrics["dev"]["labels"])

    @cached_property
    def dev(self) -> EvalClips:
        """Clips of the development speakers, on which every exported file is compared with the trained model."""
        return self.clips(self.prepared.split.dev)

    def clips(self, utterances: Sequence[Utterance]) -> EvalClips:
        """Recordings as whole clips."""
        return EvalClips(self.prepared.cache, utterances, self.labels, self.trained.config)

    def draft(self) -> bundle.Manifest:
        return draft_of(self.trained.config, self.labels)


def draft_of(config: RunConfig, labels: tuple[str, ...]) -> bundle.Manifest:
    """The manifest as far as it is known before export: no files, no fitted decision."""
    return bundle.Manifest(
        bundle.AROUSAL_SCHEMA if config.model.arousal else bundle.SCHEMA,
        labels,
        config.features,
        config.geometry,
        DecisionConfig(),
        models={},
        files={},
        arousal=config.model.arousal,
    )


def open_source(run: Path, data: dict[str, str], cache: Path | None, prunes: bool) -> Source:
    """Open a run folder of train.py or a float32 bundle, and decode its recordings.

    `data`: corpus -> folder, for recordings that have moved since training; `prunes`: whether the model will be pruned.
    Raises InputError that names what is missing or does not belong together.
    """
    trained = open_trained(run)
    config = trained.config
    require(
        trained.augment_known or not prunes,
        f"{run}: a bundle does not hold the augmentation settings that pruning needs; leave out --prune and the "
        "targets, or give the run folder",
    )
    require(
        "shared" not in protocol_facts(config.protocol),
        f"{run}: {config.protocol} has a label set per corpus, so some of its classes were never trained against each "
        "other; start another run from it (--init) and export that",
    )
    prepared = preparation.prepare(config, trained.places(data), cache)
    trained.check_split(prepared.split)
    prepared = preparation.without_test(prepared)
    require(bool(prepared.split.dev), f"{run}: its split has no development recordings, by which an export is judged")
    return Source(trained, prepared)


class Chains(Protocol):
    """The part of `augment.pipeline.Chains` that fine-tuning uses; this package may not import it."""

    @property
    def copy_settings(self) -> dict: ...

    @property
    def make_copy_augment(self) -> Callable[[], Augment]: ...

    @property
    def batch(self) -> BatchAugment: ...


def open_fine_tune_data(source: Source, chains: Chains, cache: Path | None) -> FineTuneData:
    """The training speakers under the run's own augmentation `chains`, and the development speakers."""
    config, prepared = source.trained.config, source.prepared
    copies = open_augmented(
        prepared.cache,
        prepared.split.corpora,
        config.features,
        chains.copy_settings,
        chains.make_copy_augment,
        cache,
    )
    return FineTuneData(copies, prepared.split, source.dev, chains.batch)
