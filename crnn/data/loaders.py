"""Datasets and loaders: windows of copies to train on, whole clips to evaluate."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from crnn.data.augmented import AugmentedCopies
from crnn.data.cache import AudioCache
from crnn.data.continuous_values import estimate_targets
from crnn.data.corpora import Utterance
from crnn.data.embeddings import Steps
from crnn.data.inputs import Batch, Inputs, LogMelInputs
from crnn.data.protocols import Split
from crnn.errors import require
from crnn.run_config import LossConfig, RunConfig


def target_matrix(utterances: Sequence[Utterance], labels: Sequence[str], loss: LossConfig) -> Tensor:
    """Target probabilities `(n, n_classes)` float32: one-hot intended labels, or the listeners' votes.

    Where votes are asked for, recordings of corpora without votes have their intended label. Raises InputError if no
    recording has votes, or one of a corpus that has them has none inside the label set.
    """
    matrix = torch.zeros(len(utterances), len(labels))
    voted = {u.corpus for u in utterances if u.votes}
    require(
        loss.targets == "intended" or bool(voted),
        f"{utterances[0].path}: no listeners' votes, nor with any other recording; train with --loss.targets intended",
    )
    for row, u in enumerate(utterances):
        if loss.targets == "intended" or u.corpus not in voted:
            matrix[row, labels.index(u.emotion)] = 1
            continue
        inside = {emotion: share for emotion, share in u.votes or () if emotion in labels}
        require(bool(inside), f"{u.path}: no listeners' votes; train with --loss.targets intended")
        for emotion, share in inside.items():
            matrix[row, labels.index(emotion)] = share / sum(inside.values())
    return matrix


BatchAugment = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""`log_mel (batch, n_mels, frames)`, `targets (batch, any number)`, seed -> both again"""


def label_mask(utterances: Sequence[Utterance], split: Split) -> Tensor:
    """The labels that each utterance's corpus has under `split`: `(n, n_classes)` bool."""
    has = {c: [label in labels for label in split.labels] for c, labels in split.label_sets.items()}
    return torch.tensor([has.get(u.corpus, [True] * len(split.labels)) for u in utterances])


def training_speakers(split: Split) -> list[str]:
    """The speakers of the training clips, whom `loss.adversary_weight` tells apart. Raises InputError for a single
    one."""
    names = sorted({u.speaker for u in split.train})
    require(
        len(names) >= 2,
        f"loss.adversary_weight: {', '.join(names)} is the only training speaker of {split.protocol} fold "
        f"{split.fold}, and a speaker classifier needs two; leave it out",
    )
    return names


class Copies(Protocol):
    """What training draws from, by utterance name."""

    def count(self, name: str) -> int: ...

    def rows(self, name: str, copy: int) -> np.ndarray: ...


class TrainClips(Dataset):
    """One augmented copy per item; of most inputs (`crnn.data.inputs`) a window, cut at random. Clips of the corpora of
    `teacher.only` have a target of zeros. Behind each item stands what the model estimates of the clip
    (`crnn.data.continuous_values.estimate_targets`), then, with `loss.adversary_weight`, who speaks, then `taught (n,
    any number)`, a teacher's targets, if there are any.

    An item is asked for as `(epoch, place, index)`, its place in the epoch's order; all its chance comes from (seed,
    epoch, place), so that it is the same in whichever process or resumed run it is made.
    """

    def __init__(
        self,
        copies: Copies,
        split: Split,
        config: RunConfig,
        taught: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        self._copies, self._inputs = copies, inputs or LogMelInputs(config)
        self._utterances = split.train
        self.targets = target_matrix(split.train, split.labels, config.loss)
        self.targets[torch.tensor([u.corpus in config.teacher.only for u in split.train])] = 0
        self.mask = label_mask(split.train, split)
        self.n_speakers = 0
        others: list[Callable[[int], Tensor]] = []
        if config.model.n_estimates:
            others.append(
                torch.from_numpy(estimate_targets(split.train, config.model, config.teacher.only)).__getitem__
            )
        if config.loss.adversary_weight:
            others.append(self._speaker_rows(split))
        if taught is not None:
            others.append(taught.__getitem__)
        self._others = others
        self.corpora = np.array([split.corpora.index(u.corpus) for u in split.train])
        self._seed = config.seed

    def _speaker_rows(self, split: Split) -> Callable[[int], Tensor]:
        """Clip -> a one-hot row of its speaker among those of the training clips."""
        names = training_speakers(split)
        self.n_speakers = len(names)
        places = torch.tensor([names.index(u.speaker) for u in split.train])
        return lambda index: torch.nn.functional.one_hot(places[index], len(names)).float()

    def __len__(self) -> int:
        return len(self._utterances)

    def __getitem__(self, item: tuple[int, int, int]) -> tuple[Tensor, ...]:
        """The input float32, for a CRNN `log_mel (n_mels, frames under one window)`; `target (n_classes,)`; the labels
        among which the clip competes: `mask (n_classes,)` bool; then, if there are any, its continuous labels
        `(n_estimates,)`, NaN where they are not known, its speaker, and what it is taught."""
        epoch, place, index = item
        rng = np.random.default_rng([self._seed, epoch, place])
        name = self._utterances[index].name
        rows = self._copies.rows(name, int(rng.integers(self._copies.count(name))))
        return (
            self._inputs.train(name, rows, rng),
            self.targets[index],
            self.mask[index],
            *(other(index) for other in self._others),
        )

    def collate(self, items: Sequence[tuple[Tensor, ...]]) -> list[Batch]:
        """Items as one batch."""
        first, *others = zip(*items, strict=True)
        return [self._inputs.train_batch(first), *(torch.stack(column) for column in others)]


class EpochSampler(Sampler):
    """The order of an epoch, as `(epoch, place, index)`: this process's share of it.

    `groups (n,)` names the corpus of each clip. An epoch has `n_items`; corpus c gets a share of them proportional to
    n_c ** (1 - balance), its clips in random order, repeated where it must.
    """

    def __init__(
        self, groups: np.ndarray, balance: float, n_items: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._groups, self._seed, self._rank, self._world_size = groups, seed, rank, world_size
        counts = np.bincount(groups)
        shares = np.where(counts > 0, counts, 0.0) ** (1 - balance) * (counts > 0)
        self._items = np.floor(n_items * shares / shares.sum()).astype(int)
        self._items[counts.argmax()] += n_items - self._items.sum()
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return int(self._items.sum()) // self._world_size

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        rng = np.random.default_rng([self._seed, self.epoch])
        shuffled = []
        for group, items in enumerate(self._items):
            members = np.flatnonzero(self._groups == group)
            rounds = -(-items // max(len(members), 1))
            shuffled += [rng.permutation(members) for _ in range(rounds - 1)]
            if rounds:
                shuffled.append(rng.permutation(members)[: items - (rounds - 1) * len(members)])
        order = rng.permutation(np.concatenate(shuffled))
        for place in range(self._rank, len(self) * self._world_size, self._world_size):
            yield self.epoch, place, int(order[place])


def train_loader(clips: TrainClips, config: RunConfig, rank: int, world_size: int, first_epoch: int = 0) -> DataLoader:
    """Batches of items `(log_mel (batch, n_mels, frames), target and mask (batch, n_classes), ...)`, this process's
    share of them.

    Made in the training process: an item is a copy of 30 kB from a memory-mapped file.
    """
    n_items = config.optim.epoch_clips or len(clips)
    sampler = EpochSampler(clips.corpora, config.optim.corpus_balance, n_items, config.seed, rank, world_size)
    sampler.set_epoch(first_epoch)
    batch_size = config.optim.batch_size
    last = len(sampler) > batch_size
    return DataLoader(clips, batch_size=batch_size, sampler=sampler, drop_last=last, collate_fn=clips.collate)


class EvalClips(Dataset):
    """Whole recordings, longest first so that a batch holds similar lengths; their features are computed once."""

    def __init__(
        self,
        cache: AudioCache,
        utterances: Sequence[Utterance],
        labels: Sequence[str],
        config: RunConfig,
        inputs: Inputs | None = None,
    ) -> None:
        self._cache, self.inputs = cache, inputs or LogMelInputs(config)
        self.utterances = sorted(utterances, key=lambda u: (-cache.clips[u.name][1], u.name))
        self.labels = np.array([labels.index(u.emotion) for u in self.utterances])
        corpora = sorted({u.corpus for u in self.utterances})
        self.corpora = np.array([corpora.index(u.corpus) for u in self.utterances])
        self._made: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.utterances)

    def waveform(self, index: int) -> np.ndarray:
        return self._cache.waveform(self.utterances[index].name)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        """The input of the clip (`log_mel (n_mels, frames)` between the stream's silence for a CRNN), its number of
        samples, its label."""
        waveform = self.waveform(index)
        made = self._made.get(index)
        if made is None:
            made = self.inputs.clip(self.utterances[index].name, waveform)
            if self.inputs.held:
                self._made[index] = made
        return made, len(waveform), int(self.labels[index])


def eval_loader(clips: EvalClips, config: RunConfig, batch_size: int = 16) -> DataLoader:
    """Batches of inputs (`log_mel (batch, n_mels, frames)`, padded with digital silence, for a CRNN), `n_samples
    (batch,)`, `label (batch,)`."""

    def collate(items: list[tuple[Tensor, int, int]]) -> tuple[Batch, Tensor, Tensor]:
        inputs, lengths, labels = zip(*items, strict=True)
        return clips.inputs.batch(inputs), torch.tensor(lengths), torch.tensor(labels)

    return DataLoader(clips, batch_size=batch_size, collate_fn=collate)


def first_copies(copies: AugmentedCopies, split: Split) -> Iterator[Tensor]:
    """One augmented copy `(n_mels, frames)` of each training recording: what the features of this corpus are like."""
    return (torch.from_numpy(np.array(copies.rows(u.name, 0), dtype=np.float32).T) for u in split.train)


def first_steps(steps: Steps, split: Split) -> Iterator[Tensor]:
    """The steps `(steps, layers, width)` of each training recording, by a frozen encoder."""
    return (torch.from_numpy(np.array(steps.rows(u.name), dtype=np.float32)) for u in split.train)
