"""The importance of channels and LSTM units, by three criteria from the literature.

Values are comparable only within a block, or within a direction of the LSTM: see
`edge.prune.structured.most_important`.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from crnn.models.crnn import CRNN
from crnn.models.head import Head
from edge.prune.structured import DIRECTIONS, Parts

Batches = Iterable[tuple[Tensor, Tensor]]
"""`log_mel (batch, n_mels, frames)`, `targets (batch, n_classes)`"""
Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits and targets, `(batch, n_classes)` both -> scalar"""


def magnitude(model: CRNN, batches: Batches, loss: Loss) -> Parts:
    """Channels: norm of the filter with its batch norm folded in (Li et al. 2017). Units: norm of the weights that read
    them, which bounds their effect on what follows."""

    def folded(block: nn.Sequential) -> Tensor:
        convolution, norm = block[0], block[1]
        return convolution.weight.flatten(1).norm(dim=1) * norm.weight.abs() / (norm.running_var + norm.eps).sqrt()

    return Parts(tuple(folded(block).detach() for block in model.encoder.blocks), _unit_norms(model.head))


def bn_scale(model: CRNN, batches: Batches, loss: Loss) -> Parts:
    """Channels: the scale of their batch norm (Liu et al. 2017). Units, which have none: as `magnitude`."""
    return Parts(tuple(block[1].weight.detach().abs() for block in model.encoder.blocks), _unit_norms(model.head))


def taylor(model: CRNN, batches: Batches, loss: Loss) -> Parts:
    """First order (Molchanov et al. 2019): the squared change of the loss if the output y were zero, over batches.

    That change is the derivative by a factor of 1 on y, sum(y * dL/dy). By the chain rule it equals scale * dL/dscale +
    shift * dL/dshift of the batch norm that computes y, and sum(w * dL/dw) over the weights that read y, so no
    activation has to be stored.
    """
    model.eval()  # batch norm and dropout as in use; gradients flow all the same
    norms = [block[1] for block in model.encoder.blocks]
    channels = [torch.zeros_like(norm.weight) for norm in norms]
    units = [torch.zeros(model.head.lstm.hidden_size) for _ in DIRECTIONS]
    for log_mel, targets in batches:
        model.zero_grad()
        loss(model(log_mel), targets).backward()
        for total, norm in zip(channels, norms, strict=True):
            total += (norm.weight * norm.weight.grad + norm.bias * norm.bias.grad).detach().square()
        for number, total in enumerate(units):
            total += _reading(model.head, number, lambda w: w.detach() * w.grad).sum(dim=0).square()
    model.zero_grad()
    return Parts(tuple(channels), tuple(units))


CRITERIA: dict[str, Callable[[CRNN, Batches, Loss], Parts]] = {
    "magnitude": magnitude,
    "bn_scale": bn_scale,
    "taylor": taylor,
}


def _reading(head: Head, direction: int, value: Callable[[Tensor], Tensor]) -> Tensor:
    """`value` of the weights that read a direction's units, `(readers, units)`: recurrent, attention, classifier."""
    units = head.lstm.hidden_size
    own = slice(direction * units, (direction + 1) * units)
    recurrent = getattr(head.lstm, f"weight_hh_l0{DIRECTIONS[direction]}")
    return torch.cat([value(recurrent), value(head.attention[0].weight)[:, own], value(head.classifier.weight)[:, own]])


def _unit_norms(head: Head) -> tuple[Tensor, ...]:
    return tuple(_reading(head, number, Tensor.detach).norm(dim=0) for number, _ in enumerate(DIRECTIONS))
