"""The importance of channels and LSTM units, by three criteria from the literature.

Values are comparable only within a block, or within a direction of the LSTM: see
`edge.prune.structured.most_important`.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

from crnn.models.crnn import CRNN
from crnn.models.head import Head
from edge.prune.structured import DIRECTIONS, Parts

Batches = Iterable[tuple[Tensor, Tensor]]
"""`log_mel (batch, n_mels, frames)`, `targets (batch, n_classes)`"""
Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits and targets, `(batch, n_classes)` both -> scalar"""
Layer = TypeVar("Layer", bound=nn.Module)


def magnitude(model: CRNN, batches: Batches, loss: Loss) -> Parts:
    """Channels: norm of the filter with its batch norm folded in (Li et al. 2017). Units: norm of the weights that read
    them, which bounds their effect on what follows."""

    def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
        deviation = (norm.get_buffer("running_var") + norm.eps).sqrt()
        return convolution.weight.flatten(1).norm(dim=1) * norm.weight.abs() / deviation

    layers = zip(_layers(model, nn.Conv2d), _layers(model, nn.BatchNorm2d), strict=True)
    return Parts(tuple(folded(*pair).detach() for pair in layers), _unit_norms(model.head))


def bn_scale(model: CRNN, batches: Batches, loss: Loss) -> Parts:
    """Channels: the scale of their batch norm (Liu et al. 2017). Units, which have none: as `magnitude`."""
    return Parts(tuple(norm.weight.detach().abs() for norm in _layers(model, nn.BatchNorm2d)), _unit_norms(model.head))


def taylor(model: CRNN, batches: Batches, loss: Loss) -> Parts:
    """First order (Molchanov et al. 2019): the squared change of the loss if the output y were zero, over batches.

    That change is the derivative by a factor of 1 on y, sum(y * dL/dy). By the chain rule it equals scale * dL/dscale +
    shift * dL/dshift of the batch norm that computes y, and sum(w * dL/dw) over the weights that read y, so no
    activation has to be stored.
    """
    model.eval()  # batch norm and dropout as in use; gradients flow all the same
    norms = _layers(model, nn.BatchNorm2d)
    channels = [torch.zeros_like(norm.weight) for norm in norms]
    units = [torch.zeros(model.head.lstm.hidden_size) for _ in DIRECTIONS]
    for log_mel, targets in batches:
        model.zero_grad()
        loss(model(log_mel), targets).backward()
        for total, norm in zip(channels, norms, strict=True):
            total += (_by_factor(norm.weight) + _by_factor(norm.bias)).square()
        for number, total in enumerate(units):
            total += _reading(model.head, number, _by_factor).sum(dim=0).square()
    model.zero_grad()
    return Parts(tuple(channels), tuple(units))


CRITERIA: dict[str, Callable[[CRNN, Batches, Loss], Parts]] = {
    "magnitude": magnitude,
    "bn_scale": bn_scale,
    "taylor": taylor,
}


def _layers(model: CRNN, kind: type[Layer]) -> list[Layer]:
    """One of each block of the encoder, in order."""
    return [layer for layer in model.encoder.blocks.modules() if isinstance(layer, kind)]


def _by_factor(weights: Tensor) -> Tensor:
    """The derivative of the loss by a factor of 1 on each weight, after a backward pass."""
    if weights.grad is None:
        raise ValueError("the loss does not depend on these weights")
    return weights.detach() * weights.grad


def _reading(head: Head, direction: int, value: Callable[[Tensor], Tensor]) -> Tensor:
    """`value` of the weights that read a direction's units, `(readers, units)`: recurrent, attention, classifier."""
    units = head.lstm.hidden_size
    own = slice(direction * units, (direction + 1) * units)
    recurrent = head.get_parameter(f"lstm.weight_hh_l0{DIRECTIONS[direction]}")
    following = [head.get_parameter(name) for name in ("attention.0.weight", "classifier.weight")]
    return torch.cat([value(recurrent), *(value(weights)[:, own] for weights in following)])


def _unit_norms(head: Head) -> tuple[Tensor, ...]:
    return tuple(_reading(head, number, Tensor.detach).norm(dim=0) for number, _ in enumerate(DIRECTIONS))
