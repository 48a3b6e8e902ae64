"""One fit: Lightning's trainer with this project's callbacks, a checkpoint per epoch, and resume."""

import contextlib
import io
import logging
import signal
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from crnn.data.loaders import EvalClips, TrainClips, eval_loader, train_loader
from crnn.files.atomic import replacing
from crnn.training.checkpoint import read_checkpoint
from crnn.training.task import EmotionTask

log = logging.getLogger(__name__)

LAST = "last.ckpt"
BEST = "best.ckpt"


@dataclass(frozen=True)
class FitResult:
    """The result of one fit."""

    best_checkpoint: Path
    history: list[dict[str, float]]
    utterances_per_second: float
    """Training clips per second, over the epochs of this process"""
    data_wait_share: float
    """Share of the training time spent waiting for the loader"""
    seconds_per_epoch: float
    """Mean, validation included, over the epochs of this process; 0 where it had none"""


class LoaderClock(L.Callback):
    """Measures clips per second and the share of time spent waiting for the loader, and shows both."""

    def __init__(self) -> None:
        self.clips, self.waited, self.worked = 0, 0.0, 0.0
        self.epoch_seconds: list[float] = []
        self._mark = 0.0
        self._epoch_start: float | None = None

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._mark = self._epoch_start = time.perf_counter()

    def on_train_batch_start(self, trainer, task, batch, batch_idx) -> None:
        now = time.perf_counter()
        self.waited += now - self._mark
        self._mark = now

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx) -> None:
        now = time.perf_counter()
        self.worked += now - self._mark
        self.clips += len(batch[1]) * trainer.world_size
        self._mark = now
        task.log("utt_per_s", self.utterances_per_second, prog_bar=True)
        task.log("data_wait", self.data_wait_share, prog_bar=True)

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        if self._epoch_start is not None:  # resumed after the last epoch, Lightning ends an epoch that it has not begun
            self.epoch_seconds.append(time.perf_counter() - self._epoch_start)

    @property
    def utterances_per_second(self) -> float:
        return self.clips / max(self.waited + self.worked, 1e-9)

    @property
    def data_wait_share(self) -> float:
        return self.waited / max(self.waited + self.worked, 1e-9)


class KeepSignals(L.Callback):
    """SIGTERM ends a fit like Ctrl-C. Lightning would finish the batch and broadcast the signal, and can then wait
    forever for a process that has ended."""

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)


class ProgressBar(TQDMProgressBar):
    """Lightning's progress bar. It ends its line also after an error, so that the error has a line of its own."""

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        with contextlib.suppress(TypeError):  # raised if no bar has started
            self.train_progress_bar.close()


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint next to the file that it replaces.

    Lightning writes into $TMPDIR and moves the file. To another file system, moving copies over the old checkpoint, and
    if the disk is full both are lost.
    """

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options: None = None) -> None:
        """Raises OSError, naming `path`; the previous file is then unchanged."""
        content = io.BytesIO()  # torch reports a full disk as a RuntimeError
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(path)) as file:
            file.write(content.getbuffer())


def quieten_lightning() -> None:
    """Silence Lightning's advice on hardware and services; progress and this project's own lines remain."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")


def fit(task: EmotionTask, train: TrainClips, dev: EvalClips, folder: Path, resume: bool = False) -> FitResult:
    """Train `task` and store `best.ckpt` (by development UAR), `last.ckpt` and logs in `folder`. Without development
    clips nothing ends training early, and both hold the last epoch.

    With `resume`, continues from `folder/last.ckpt` if it exists. Each checkpoint is written completely or not at all,
    so the process may be killed and the disk may be full at any point. Raises OSError, naming the file.
    """
    quieten_lightning()
    config = task.config
    clock = LoaderClock()
    judged: dict[str, Any] = {"monitor": "dev_uar" if len(dev) else "epoch", "mode": "max"}
    always: dict[str, Any] = {
        "enable_version_counter": False,
        "save_on_train_epoch_end": None if len(dev) else True,
    }
    callbacks: list[L.Callback] = [
        # Two of them: with save_last, Lightning writes last.ckpt only in epochs that are a new best.
        ModelCheckpoint(folder, Path(BEST).stem, **judged, **always),
        ModelCheckpoint(folder, Path(LAST).stem, **always),
        *([EarlyStopping(**judged, patience=config.optim.early_stop_patience)] if len(dev) else []),
        clock,
        KeepSignals(),
        ProgressBar(refresh_rate=5),
    ]
    if config.optim.ema_decay > 0 and not config.self_supervised.on:  # whose teacher is the average
        callbacks.append(EMAWeightAveraging(decay=config.optim.ema_decay))
    trainer = L.Trainer(
        accelerator=config.loop.accelerator,
        devices=config.loop.devices,
        num_nodes=config.loop.num_nodes,
        strategy="ddp" if config.loop.processes > 1 else "auto",
        use_distributed_sampler=False,
        precision=config.loop.precision,
        max_epochs=config.optim.epochs,
        accumulate_grad_batches=config.optim.accumulate,
        gradient_clip_val=config.optim.gradient_clip or None,
        logger=[CSVLogger(folder / "logs", name="csv"), TensorBoardLogger(folder / "logs", name="tensorboard")],
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        num_sanity_val_steps=0,
        check_val_every_n_epoch=config.optim.eval_every,
        log_every_n_steps=10,
        enable_model_summary=False,
    )
    last = folder / LAST if resume and (folder / LAST).is_file() else None
    # Lightning makes the first iterator before it sets the epoch of the sampler; a resumed epoch would repeat the order
    # of epoch 0.
    first_epoch = 0 if last is None else read_checkpoint(last)["epoch"] + 1
    loader = train_loader(train, config, trainer.global_rank, trainer.world_size, first_epoch)
    try:
        trainer.fit(task, loader, eval_loader(dev, config) if len(dev) else None, ckpt_path=last, weights_only=True)
    except SystemExit as error:  # Lightning exits after Ctrl-C; the script must report how to continue
        raise KeyboardInterrupt from error
    epochs = clock.epoch_seconds
    return FitResult(
        best_checkpoint=folder / BEST,
        history=task.history,
        utterances_per_second=clock.utterances_per_second,
        data_wait_share=clock.data_wait_share,
        seconds_per_epoch=sum(epochs) / max(len(epochs), 1),
    )
