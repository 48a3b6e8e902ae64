"""The training task without labels: a student predicts what the average of its own weights makes of frames that it does
not see, and of the whole window (emotion2vec, Ma et al. 2023)."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from crnn.errors import require
from crnn.models.crnn import CRNN
from crnn.models.head import Head
from crnn.run_config import RunConfig
from crnn.training.masking import draw_spans, masked_steps
from crnn.training.task import EmotionTask

LEAST_DEVIATION = 1e-4
"""Standard deviation of the teacher's states and window vectors below which it has collapsed; an LSTM's states lie
between -1 and 1"""


class SelfSupervisedTask(EmotionTask):
    """Mean squared error at the masked steps + `utterance_weight` * that of the window.

    `model` is the teacher, and what the run keeps: its weights average the student's, its batch norm statistics come
    from frames that are not masked. What is predicted are the teacher's CNN steps and LSTM states, and the mean of both
    over the window, each value with mean 0 and variance 1 over the batch: whoever guesses has a loss of 1. The linear
    predictions and the queries of `chunk` are trained with the student; like it they are no part of the model.
    """

    model: CRNN

    def __init__(self, config: RunConfig, model: CRNN, *others) -> None:
        super().__init__(config, model, *others)
        settings, head = config.self_supervised, self.model.head
        self.student = copy.deepcopy(self.model)
        for part in (self.student.head.classifier, self.student.head.arousal, self.student.head.continuous):
            if part is not None:  # not trained here, and a parameter without a gradient would stop several processes
                part.requires_grad_(False)
        width, step_width = head.classifier.in_features, head.lstm.input_size
        self.layers = [step_width, width]
        self.frame_prediction = nn.Linear(width, sum(self.layers))
        self.window_prediction = nn.Linear(width, sum(self.layers)) if settings.utterance_weight else None
        more = settings.chunk_tokens - 1
        by_queries = settings.utterance == "chunk" and more > 0 and self.window_prediction is not None
        self.queries = nn.Linear(config.model.attention_units, more, bias=False) if by_queries else None
        if settings.utterance == "global" or self.window_prediction is None:
            self.student.head.attention.requires_grad_(False)
        self.figures: dict[str, Tensor] = {}
        """Of the last batch: losses, and how far the teacher's outputs differ"""
        self._epoch_figures: list[dict[str, Tensor]] = []
        self._place = 0.0

    def setup(self, stage: str) -> None:
        """Nothing trains the teacher while the fit lasts; afterwards it is a model like others."""
        self.model.requires_grad_(False)

    def teardown(self, stage: str) -> None:
        self.model.requires_grad_(True)

    def train(self, mode: bool = True) -> "SelfSupervisedTask":
        """The teacher drops nothing, and its batch norm takes the statistics of the batch."""
        super().train(mode)
        for part in self.model.modules():
            if isinstance(part, nn.Dropout):
                part.eval()
        return self

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.train()  # Lightning does not call it
        self._epoch_figures = []

    def on_train_batch_start(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        self._place = (self.current_epoch + (batch_idx + 1) / int(self.trainer.num_training_batches)) / (
            self.config.optim.epochs
        )

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        self._epoch_figures.append(self.figures)
        for name, value in self.figures.items():
            self.log(name, value)
        return loss

    def batch_loss(self, log_mel: Tensor, targets: Tensor, mask: Tensor, *others: Tensor) -> Tensor:
        """Labels, and what else is known of the clips, are not used."""
        model, settings = self.config.model, self.config.self_supervised
        frames = log_mel.shape[-1] - model.lookback_frames
        span = settings.span_steps * model.stride_frames
        masked = draw_spans(len(log_mel), frames, settings.masked_share, span).to(log_mel.device)
        steps = self.student.encoder.training_steps(log_mel, masked)
        with torch.no_grad():
            taught_steps = self.model.encoder.training_steps(log_mel)
        # Under mixed precision the encoders alone, which take most of the time, compute in 16 bits.
        with torch.autocast(log_mel.device.type, enabled=False):
            with torch.no_grad():
                taught = self._taught(taught_steps.float())
            states, _ = self.student.head.lstm(steps.float())
            hidden = masked_steps(masked, model)
            loss = frame_loss = self._error(self.frame_prediction(states[hidden]), taught[hidden])
            self.figures["frame_loss"] = frame_loss.detach()
            if self.window_prediction is not None:
                vector = window_vector(self.student.head, states, settings.utterance, self.queries)
                utterance_loss = self._error(self.window_prediction(vector), standardized(taught.mean(dim=1)))
                self.figures["utterance_loss"] = utterance_loss.detach()
                loss = frame_loss + settings.utterance_weight * utterance_loss
        return loss

    def _error(self, predicted: Tensor, taught: Tensor) -> Tensor:
        """Mean squared error `(n, values)` of both layers, of which each counts the same whatever its width."""
        errors = (predicted - taught).square().split(self.layers, dim=-1)
        return torch.stack([error.mean() for error in errors]).mean()

    def _taught(self, steps: Tensor) -> Tensor:
        """The teacher's `steps (batch, n_steps, d)` -> what is predicted, `(batch, n_steps, d + width)`.

        Raises InputError if they are the same for all steps, or the window's vector for all clips.
        """
        states, weights = self.model.head.attend(steps)
        vectors = (states * weights).sum(dim=1)
        deviations = [layer.flatten(0, 1).std(dim=0, correction=0).mean() for layer in (steps, states)]
        centred = vectors - vectors.mean(dim=0)
        products = centred @ centred.mT  # their squares sum to that of the squared variances of the principal axes
        self.figures = {
            "target_std": torch.stack(deviations).min(),
            "embedding_std": vectors.std(dim=0, correction=0).mean(),
            "embedding_rank": centred.square().sum().square() / products.square().sum().clamp_min(1e-30),
        }
        for name, what in (("target_std", "states over the steps"), ("embedding_std", "vectors over the clips")):
            found = float(self.figures[name])
            require(
                found >= LEAST_DEVIATION,  # False for NaN
                f"self-supervision has collapsed: the teacher's {what} of a batch have a standard deviation of "
                f"{found:.2g}; lower optim.learning_rate, or raise self_supervised.teacher_decay",
            )
        layers = torch.cat([steps, states], dim=-1)
        return standardized(layers.flatten(0, 1)).view_as(layers)

    def decay(self) -> float:
        """Of the teacher's weights at this step: a function of the step, so that a resumed run repeats it."""
        settings = self.config.self_supervised
        return settings.teacher_decay + (settings.final_decay - settings.teacher_decay) * min(self._place, 1.0)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.follow(self.decay())

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the teacher's weights towards the student's. Its batch norm statistics are its own."""
        for slow, fast in zip(self.model.parameters(), self.student.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)

    def on_train_epoch_end(self) -> None:
        if not self._epoch_figures:  # resumed after the last epoch, Lightning ends an epoch that it has not begun
            return
        means = {
            name: float(torch.stack([found[name] for found in self._epoch_figures]).mean())
            for name in self._epoch_figures[0]
        }
        self.history.append(
            {
                "epoch": self.current_epoch,
                "learning_rate": self.plateau.optimizer.param_groups[0]["lr"],
                "train_loss": float(torch.stack(self._losses).mean()),
                "teacher_decay": self.decay(),
                **means,
            }
        )


def standardized(values: Tensor) -> Tensor:
    """`(n, values)` with mean 0 and variance 1 over n; 0 where a value is the same in all."""
    return nn.functional.batch_norm(values, None, None, training=True)


def window_vector(head: Head, states: Tensor, kind: str, queries: nn.Module | None = None) -> Tensor:
    """`states (batch, n_steps, width)` of the LSTM -> `(batch, width)`, by `SelfSupervisedConfig.utterance`. `queries`
    are those of `chunk` beside the head's own."""
    if kind == "global":
        return states.mean(dim=1)
    *hidden_layers, own = head.attention
    hidden = states
    for layer in hidden_layers:
        hidden = layer(hidden)
    scores = own(hidden) if queries is None else torch.cat([own(hidden), queries(hidden)], dim=-1)
    # The mean of the vectors of all queries is the vector of their mean weights.
    return (states * scores.softmax(dim=1).mean(dim=-1, keepdim=True)).sum(dim=1)
