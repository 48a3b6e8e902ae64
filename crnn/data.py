"""Datasets and loaders over cached recordings."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from crnn.cache import AudioCache
from crnn.config import StreamGeometry, require
from crnn.corpora import Utterance
from crnn.features import LogMel
from crnn.protocols import Split
from crnn.run_config import LossConfig, RunConfig

Augment = Callable[[np.ndarray, np.random.SeedSequence], np.ndarray]
"""`waveform (time,)`, seed -> another waveform, of any length"""


def target_matrix(utterances: Sequence[Utterance], labels: Sequence[str], loss: LossConfig) -> Tensor:
    """Target probabilities `(n, n_classes)` float32: one-hot intended labels, or the listeners' votes.

    Raises InputError if votes are asked for and a recording has none inside the label set.
    """
    matrix = torch.zeros(len(utterances), len(labels))
    for row, u in enumerate(utterances):
        if loss.targets == "intended":
            matrix[row, labels.index(u.emotion)] = 1
            continue
        inside = {emotion: share for emotion, share in u.votes or () if emotion in labels}
        require(bool(inside), f"{u.path}: no listeners' votes; train with --loss.targets intended")
        for emotion, share in inside.items():
            matrix[row, labels.index(emotion)] = share / sum(inside.values())
    return matrix


class TrainClips(Dataset):
    """One window per recording and epoch, cut at random and augmented.

    An item is asked for as `(epoch, index)`; all its chance comes from (seed, epoch, index), so that it is the same in
    whichever process, order or resumed run it is made.
    """

    def __init__(
        self, cache: AudioCache, split: Split, config: RunConfig, augment: Callable[[], Augment] | None
    ) -> None:
        self._cache = cache
        self._utterances = split.train
        self.targets = target_matrix(split.train, split.labels, config.loss)
        self._length = config.geometry.window_samples
        self._seed = config.seed
        self._make_augment = augment
        self._augment: Augment | None = None

    def __len__(self) -> int:
        return len(self._utterances)

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """`waveform (window_samples,)` float32 and `target (n_classes,)`."""
        epoch, index = item
        cut_seed, augment_seed = np.random.SeedSequence([self._seed, epoch, index]).spawn(2)
        waveform = np.array(self._cache.waveform(self._utterances[index].name))
        if self._make_augment is not None:
            if self._augment is None:  # built in the process that uses it: it holds open files and decoded noise
                self._augment = self._make_augment()
            waveform = self._augment(waveform, augment_seed)
        return torch.from_numpy(fit_length(waveform, self._length, np.random.default_rng(cut_seed))), self.targets[
            index
        ]


def fit_length(waveform: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """Cut `length` samples at a drawn place, or place a shorter waveform among zeros at a drawn place."""
    spare = len(waveform) - length
    at = int(rng.integers(0, abs(spare) + 1))
    if spare >= 0:
        return waveform[at : at + length]
    return np.pad(waveform, (at, -spare - at))


class EpochSampler(DistributedSampler):
    """Torch's distributed sampler (one process is the case of 1) that hands out `(epoch, index)`."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, index) for index in super().__iter__())


def train_loader(clips: TrainClips, config: RunConfig, rank: int, world_size: int) -> DataLoader:
    """Batches `(waveform (batch, window_samples), target (batch, n_classes))`, this process's share of them."""
    sampler = EpochSampler(clips, num_replicas=world_size, rank=rank, shuffle=True, seed=config.seed)
    workers = config.loop.num_workers
    return DataLoader(
        clips,
        batch_size=config.optim.batch_size,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
        drop_last=len(clips) // world_size > config.optim.batch_size,
    )


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)


class EvalClips(Dataset):
    """Whole recordings, longest first so that a batch holds similar lengths."""

    def __init__(self, cache: AudioCache, utterances: Sequence[Utterance], labels: Sequence[str]) -> None:
        self._cache = cache
        self.utterances = sorted(utterances, key=lambda u: (-cache.clips[u.name][1], u.name))
        self.labels = np.array([labels.index(u.emotion) for u in self.utterances])

    def __len__(self) -> int:
        return len(self.utterances)

    def waveform(self, index: int) -> np.ndarray:
        return self._cache.waveform(self.utterances[index].name)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(np.array(self.waveform(index))), int(self.labels[index])


def eval_loader(clips: EvalClips, geometry: StreamGeometry, batch_size: int = 16) -> DataLoader:
    """Batches `(waveform (batch, time), n_samples (batch,), label (batch,))`, zero-padded as `flush` pads."""

    def collate(items: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
        lengths = torch.tensor([len(waveform) for waveform, _ in items])
        padded = torch.zeros(len(items), geometry.padded_samples(int(lengths.max())))
        for row, (waveform, _) in zip(padded, items, strict=True):
            row[: len(waveform)] = waveform
        return padded, lengths, torch.tensor([label for _, label in items])

    return DataLoader(clips, batch_size=batch_size, collate_fn=collate)


def band_statistics(cache: AudioCache, split: Split, log_mel: LogMel) -> tuple[np.ndarray, np.ndarray]:
    """Mean and 1 / standard deviation of each mel band over the training speakers: two `(n_mels, 1)` float32."""
    count, total, square = 0, 0.0, 0.0
    for u in split.train:
        waveform = cache.waveform(u.name)
        if len(waveform) < log_mel.config.n_fft:
            continue
        values = log_mel(waveform).astype(np.float64)
        count += values.shape[1]
        total = total + values.sum(axis=1, keepdims=True)
        square = square + (values**2).sum(axis=1, keepdims=True)
    require(count > 0, "the training recordings are all shorter than one frame")
    mean = total / count
    deviation = np.sqrt(np.maximum(square / count - mean**2, 1e-6))
    return mean.astype(np.float32), (1 / deviation).astype(np.float32)
