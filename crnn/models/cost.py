"""What a model costs: parameters and multiply-accumulates."""

import torch
from torch import Tensor, nn


def count_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_macs(model: nn.Module, n_mels: int, n_frames: int) -> int:
    """Multiply-accumulates of one pass over `n_frames` frames: convolutions, LSTM and linear layers."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple) -> None:
        nonlocal total
        values = output if isinstance(output, Tensor) else output[0]  # an LSTM gives its last state too
        if isinstance(module, nn.Conv2d):
            total += values.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += values.numel() * module.in_features
        else:
            weights = sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight"))
            total += inputs[0].shape[1] * weights

    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear, nn.LSTM))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    was_training = model.training
    model.eval()
    parameter = next(model.parameters())
    with torch.no_grad():
        model(torch.zeros(1, n_mels, n_frames, device=parameter.device, dtype=parameter.dtype))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return total
