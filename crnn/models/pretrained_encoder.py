"""Pretrained speech encoders as encoders of a model: frozen, their outputs stored once, or partly trained.

Both weigh the layers of `system.encoder_layers` by learned weights (Yang et al. 2021, SUPERB).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from crnn.cli.installed import install
from crnn.data.padded import Padded
from crnn.errors import InputError, require
from crnn.models.hidden_states import HiddenStates
from crnn.models.pretrained import MIN_SAMPLES, RMS, SAMPLE_RATE, SpeechEncoder, located, open_encoder
from crnn.run_config import RunConfig


def encoder_of(config: RunConfig) -> SpeechEncoder:
    """The encoder that the settings name. Raises InputError if it is none, or takes other samples than the run has."""
    given, rate = config.system.encoder, config.features.sample_rate
    require(rate == SAMPLE_RATE, f"features.sample_rate is {rate}; system.encoder takes {SAMPLE_RATE} Hz")
    return open_encoder(located(given), config.system.encoder_layers)


class Standardized(nn.Module):
    """Steps `(batch, steps, *shape)`, every value minus its mean over the training steps, times its scale.

    Both are buffers (`learn_scale`); until then they change nothing.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def forward(self, steps: Tensor) -> Tensor:
        return (steps - self.mean) * self.scale

    @torch.no_grad()
    def learn_scale(self, clips: Iterable[Tensor]) -> None:
        """Set mean and scale from at least one clip `(steps, *shape)`: a few values of a speech encoder are a hundred
        times as large as the others."""
        count, total, square = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for clip in clips:
            values = clip.double()
            count += len(values)
            total = total + values.sum(dim=0)
            square = square + values.square().sum(dim=0)
        mean = total / count
        self.mean.copy_(mean)
        self.scale.copy_((square / count - mean**2).clamp_min(1e-6).rsqrt())


class LayerSum(Standardized):
    """`(batch, steps, layers, width)` -> `(batch, steps, width)`: the sum of the standardized layers, weighted by
    softmax."""

    def __init__(self, n_layers: int, width: int) -> None:
        super().__init__(n_layers, width)
        self.scores = nn.Parameter(torch.zeros(n_layers))

    def forward(self, layers: Tensor) -> Tensor:
        return torch.einsum("bslw,l->bsw", super().forward(layers), self.scores.softmax(dim=0))


class FrozenEncoder(nn.Module):
    """The weighted layers of an encoder that is no part of the model: it takes the stored steps
    (`crnn.data.embeddings.Steps`)."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.pretrained = encoder_of(config)
        self.width = self.pretrained.layer_width
        self.sum = LayerSum(len(self.pretrained.layers), self.width)

    def learn_scale(self, clips: Iterable[Tensor]) -> None:
        """Set mean and scale of every value from clips `(steps, layers, width)`."""
        self.sum.learn_scale(clips)

    def forward(self, clips: Padded) -> Padded:
        return Padded(self.sum(clips.values), clips.lengths)

    def example(self, n_samples: int) -> Tensor:
        """An input of so many samples, to count what it costs."""
        with torch.no_grad():
            n_steps = self.pretrained.hidden_states()(torch.zeros(1, n_samples))[0].shape[1]
        return torch.zeros(1, n_steps, len(self.pretrained.layers), self.width)

    def frozen(self) -> HiddenStates:
        """The encoder before it."""
        return self.pretrained.hidden_states()


class TunedEncoder(nn.Module):
    """An encoder whose last layers are trained (`system.trained_layers`), or LoRA (Hu et al. 2022) in all its layers
    (`system.lora_rank`), or both. The rest stays as it is. Its dropout is off."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        system = config.system
        self.pretrained = encoder_of(config)
        self.width = self.pretrained.layer_width
        require(
            system.trained_layers + system.lora_rank > 0,
            f"model.kind is {config.model.kind}; give system.trained_layers or system.lora_rank, or take "
            "frozen-encoder",
        )
        self.states = self.pretrained.hidden_states().requires_grad_(False)
        require(
            system.trained_layers <= len(self.states.layers),
            f"system.trained_layers is {system.trained_layers}; {system.encoder} has {len(self.states.layers)} layers "
            "below the last that is used",
        )
        if system.lora_rank:
            add_lora(self.states, system.lora_rank)
        for layer in list(self.states.layers)[len(self.states.layers) - system.trained_layers :]:
            layer.requires_grad_()
        self.sum = LayerSum(len(self.pretrained.layers), self.width)

    def train(self, mode: bool = True) -> "TunedEncoder":
        super().train(mode)
        self.states.eval()
        return self

    def forward(self, clips: Padded) -> Padded:
        """Clips of another length than the others pass alone: norms over time in some encoders would see the zeros."""
        if clips.mask is None:
            steps = self._steps(clips.values)
            return Padded.full(steps)
        lengths = [int(n) for n in clips.lengths]
        return Padded.of([self._steps(clip[None, :n])[0] for clip, n in zip(clips.values, lengths, strict=True)])

    def _steps(self, waveform: Tensor) -> Tensor:
        """`(batch, time)`, all of it filled -> `(batch, steps, width)`."""
        states = self.states(_leveled(waveform))
        return self.sum(torch.stack([states[layer] for layer in self.pretrained.layers], dim=2))

    def example(self, n_samples: int) -> Tensor:
        """An input of so many samples, to count what it costs."""
        return torch.zeros(1, n_samples)


def _leveled(waveform: Tensor) -> Tensor:
    """`crnn.models.pretrained.leveled` for a batch `(batch, time)`."""
    centred = waveform - waveform.mean(dim=1, keepdim=True)
    level = centred / (centred.square().mean(dim=1, keepdim=True).sqrt() + 1e-8) * RMS
    return nn.functional.pad(level, (0, max(0, MIN_SAMPLES - level.shape[1])))


def add_lora(states: HiddenStates, rank: int) -> None:
    """Add trainable low-rank layers beside the linear layers that `states.lora` names; those stay as they are.

    Raises InputError if peft is missing.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError(f"system.lora_rank needs peft: {install('teacher')}") from error
    names = [name for name, _ in states.layers.named_modules() if name.split(".")[-1] in states.lora]
    require(bool(names), f"{type(states).__name__}: has no layers {', '.join(states.lora)} for LoRA")
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names), states.layers)
