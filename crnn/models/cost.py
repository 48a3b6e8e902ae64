"""What a model costs: parameters and multiply-accumulates."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from crnn.data.padded import WithText
from crnn.models.clip_model import ClipModel, Model
from crnn.models.crnn import WindowModel
from crnn.models.pretrained_encoder import FrozenEncoder
from crnn.models.text_encoder import EXAMPLE_TOKENS
from crnn.run_config import RunConfig


def count_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_macs(model: nn.Module, n_mels: int, n_frames: int) -> int:
    """Multiply-accumulates of one pass over `n_frames` frames of log-mel features."""
    return macs_of(model, torch.zeros(1, n_mels, n_frames))


def macs_of(model: nn.Module, inputs: Tensor | WithText) -> int:
    """Multiply-accumulates of one pass: convolutions, linear and recurrent layers, and the products of attention."""
    recurrent: dict[str, int] = {}

    def counted(name: str, module: nn.Module):
        def count(_: nn.Module, given: tuple[Tensor, ...], __: tuple) -> None:
            weights = sum(p.numel() for key, p in module.named_parameters() if key.startswith("weight"))
            recurrent[name] = given[0].shape[1] * weights

        return module.register_forward_hook(count)

    hooks = [counted(name, m) for name, m in model.named_modules() if isinstance(m, nn.RNNBase)]
    was_training = model.training
    model.eval()
    first = next(model.parameters())
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), _attention_in_parts(), counter:
        model(inputs.to(first.device, first.dtype) if isinstance(inputs, Tensor) else inputs)
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    # Whether torch's counter sees inside a recurrent layer depends on how the processor computes it.
    seen = counter.get_flop_counts()
    of_layers = sum(sum(seen.get(f"{type(model).__name__}.{name}", {}).values()) for name in recurrent)
    return (counter.get_total_flops() - of_layers) // 2 + sum(recurrent.values())


def macs_per_window(model: Model, config: RunConfig) -> int:
    """Multiply-accumulates of one pass over a window of the CRNN (3.56 s by default), whatever the model takes; a text
    has `EXAMPLE_TOKENS`. A recognizer before it is not counted."""
    g = config.geometry
    if isinstance(model, WindowModel):
        return count_macs(model, config.features.n_mels, g.frames_for(g.window_steps))
    before = 0
    if isinstance(model.encoder, FrozenEncoder):
        before += macs_of(model.encoder.frozen(), torch.zeros(1, g.window_samples))
    if model.text:
        before += macs_of(model.text.states(), torch.zeros(1, EXAMPLE_TOKENS))
    return before + macs_of(model, model.example(g.window_samples))


def count_frozen(model: Model) -> int:
    """Parameters that are not trained, those of encoders before the model included, but not of a recognizer."""
    before: list[nn.Module] = [model.encoder.frozen()] if isinstance(model.encoder, FrozenEncoder) else []
    if isinstance(model, ClipModel) and model.text:
        before.append(model.text.states())
    frozen = [p for p in model.parameters() if not p.requires_grad]
    return sum(p.numel() for p in [*frozen, *(p for module in before for p in module.parameters())])


@contextmanager
def _attention_in_parts() -> Iterator[None]:
    """torch's counter does not see inside the single operations that compute attention faster."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
