"""The training task as a LightningModule: training step, validation and checkpoint."""

from collections.abc import Sequence
from typing import Any, TypeVar

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from crnn.data.loaders import BatchAugment
from crnn.metrics import dev_uar
from crnn.models.clip_model import Model
from crnn.models.crnn import WindowModel
from crnn.run_config import RunConfig
from crnn.training.auxiliary import AuxiliaryLosses
from crnn.training.losses import FocalLoss, labelled, masked_logits
from crnn.training.schedule import learning_rate

SomeModel = TypeVar("SomeModel", bound=nn.Module)


def in_memory_format(model: SomeModel, memory_format: torch.memory_format) -> SomeModel:
    """The same model, its weights laid out in this order."""
    return model.to(memory_format=memory_format)  # type: ignore[call-overload] # torch documents it, its types lack it


class EmotionTask(L.LightningModule):
    """Augmented features, model, focal loss and `crnn.training.auxiliary`'s losses; development UAR after every epoch.

    The random numbers of a step are a function of (seed, epoch, batch, process), so a resumed run repeats an
    uninterrupted one.

    `dev_groups (n_dev,)` names the corpus of each development clip, in the loader's order: with several corpora the
    development UAR is the mean over corpora, so that each counts the same. `dev_mask (n_dev, n_classes)` is True for
    the labels that each clip can have (default: all). `n_speakers` are those of the training clips, for
    `loss.adversary_weight`.
    """

    def __init__(
        self,
        config: RunConfig,
        model: Model,
        class_weights: Tensor | None = None,
        augment: BatchAugment | None = None,
        dev_groups: np.ndarray | None = None,
        dev_mask: Tensor | None = None,
        n_speakers: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.model = in_memory_format(model, torch.channels_last) if config.loop.channels_last else model
        self.loss = FocalLoss(config.loss.gamma, class_weights, config.loss.label_smoothing)
        self.auxiliary = AuxiliaryLosses(config.loss, model.head.classifier.in_features, n_speakers)
        self.augment = augment
        self.dev_groups = dev_groups
        self.dev_mask = dev_mask
        if config.frozen and isinstance(model, WindowModel):
            model.encoder.requires_grad_(False)
        self.history: list[dict[str, float]] = []
        self._dev: list[tuple[Tensor, Tensor]] = []
        self._losses: list[Tensor] = []
        self._plateau_state: dict | None = None

    def train(self, mode: bool = True) -> "EmotionTask":
        """A frozen encoder keeps its batch norm statistics too, and drops nothing."""
        super().train(mode)
        if self.config.frozen and isinstance(self.model, WindowModel):
            self.model.encoder.eval()
        return self

    def on_train_epoch_start(self) -> None:
        if self.config.frozen:
            self.train()  # Lightning does not call it
        self._losses = []

    def on_train_batch_start(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        optim, n_batches = self.config.optim, int(self.trainer.num_training_batches)  # infinite for a stream alone
        self.auxiliary.begin_batch(optim.epochs, self.current_epoch + batch_idx / n_batches)
        rate = learning_rate(optim, self.current_epoch, batch_idx, n_batches)
        if rate is not None:  # otherwise the plateau scheduler has it
            for group in self.plateau.optimizer.param_groups:
                group["lr"] = rate

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        seed = np.random.SeedSequence([self.config.seed, self.current_epoch, batch_idx, self.global_rank])
        torch.manual_seed(int(seed.generate_state(1)[0]))
        log_mel, targets, mask, *others = batch
        if self.augment is not None:
            # The mask is mixed like the targets: a mix of two clips can have the labels of both.
            parts = (targets, mask.to(targets.dtype), *others)
            log_mel, mixed = self.augment(log_mel, torch.cat(parts, dim=1), int(torch.randint(2**31, ())))
            targets, shares, *others = mixed.split([part.shape[1] for part in parts], dim=1)
            mask = shares > 0
        loss = self.batch_loss(log_mel, targets, mask, *others)
        self._losses.append(loss.detach())
        self.log("train_loss", loss, prog_bar=True)
        for name, value in self.auxiliary.monitored().items():
            self.log(name, value)
        return loss

    def batch_loss(self, log_mel: Tensor, targets: Tensor, mask: Tensor, *others: Tensor) -> Tensor:
        """The loss of an augmented batch, a scalar. `others`: what else is known of its clips
        (`crnn.data.loaders.TrainClips`)."""
        pooled = self.model.training_pooled(log_mel)
        logits = self.model.head.classify(pooled)
        return self.label_loss(logits, targets, mask) + self.auxiliary_loss(pooled, targets, others)

    def label_loss(self, logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """The loss of the clips that have a label, and were mixed with none that has not; 0 where there are none."""
        known = labelled(targets)
        return self.loss(logits[known], targets[known], mask[known])

    def auxiliary_loss(self, pooled: Tensor, targets: Tensor, others: Sequence[Tensor]) -> Tensor:
        """What is learned beside the classes, whoever teaches those; a scalar."""
        return self.auxiliary(self.model.head, pooled, targets, others)

    def validation_step(self, batch: tuple[Any, Tensor, Tensor]) -> None:
        """The first of a batch is what the model takes (`crnn.data.inputs`)."""
        inputs, n_samples, labels = batch
        self._dev.append((self.model.clip_logits(inputs, n_samples, self.config.geometry), labels))

    def on_validation_epoch_end(self) -> None:
        logits, labels = (torch.cat(parts) for parts in zip(*self._dev, strict=True))
        self._dev = []
        if self.dev_mask is not None:
            logits = masked_logits(logits, self.dev_mask.to(logits.device))
        # Every process evaluates all development clips, so all have the same figure and take the same decisions.
        score = dev_uar(logits.softmax(-1), labels, self.dev_groups)
        self.log("dev_uar", score, prog_bar=True)
        self.log("dev_loss", torch.nn.functional.cross_entropy(logits, labels))
        self.history.append(
            {
                "epoch": self.current_epoch,
                "learning_rate": self.plateau.optimizer.param_groups[0]["lr"],
                "train_loss": float(torch.stack(self._losses).mean()),
                "dev_loss": float(torch.nn.functional.cross_entropy(logits, labels)),
                "dev_uar": score,
                **self.auxiliary.monitored(),
            }
        )
        if self.config.optim.schedule == "plateau":
            self.plateau.step(score)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW. This class steps the plateau scheduler. Lightning would step it after it has written the epoch's
        checkpoint, so a run resumed from that checkpoint would miss the step."""
        optim = self.config.optim
        optimizer = torch.optim.AdamW(self.parameters(), lr=optim.learning_rate, weight_decay=optim.weight_decay)
        self.plateau = ReduceLROnPlateau(
            optimizer,
            mode="max",
            factor=optim.plateau_factor,
            patience=optim.plateau_patience,
            min_lr=optim.min_learning_rate,
        )
        if self._plateau_state is not None:
            self.plateau.load_state_dict(self._plateau_state)
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["history"] = self.history
        checkpoint["plateau"] = self.plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.history = checkpoint["history"]
        self._plateau_state = checkpoint["plateau"]
