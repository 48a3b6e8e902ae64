"""Poolings: equal to their formulas in NumPy, and what lies behind a clip's end changes nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from crnn.data.padded import Padded
from crnn.models.registry import POOLINGS
from crnn.system_config import SystemConfig

WIDTH, UNITS, HEADS = 6, 8, 2
CONFIG = SystemConfig(units=UNITS, heads=HEADS)


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return POOLINGS[name](WIDTH, CONFIG).eval()


def clips(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(n, WIDTH, generator=generator) - 2 for n in lengths]


@pytest.mark.parametrize("name", POOLINGS)
@settings(max_examples=10)
@given(lengths=st.lists(st.integers(1, 12), min_size=2, max_size=4))
def test_a_clip_alone_and_in_a_batch_of_longer_ones(name, lengths):
    part, each = made(name), clips(*lengths)
    batch = Padded.of(each)
    with torch.no_grad():
        together = part(batch.values, batch.mask)
        alone = torch.cat([part(clip[None]) for clip in each])
    assert together.shape == (len(each), part.width)
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", POOLINGS)
def test_gradients_reach_every_parameter_and_every_clip(name):
    part, each = made(name), Padded.of(clips(9, 1))
    steps = each.values.requires_grad_()
    part(steps, each.mask).square().sum().backward()
    # The bias of a key adds the same to the score of every step: no answer depends on it.
    needed = {n: p for n, p in part.named_parameters() if n != "key.bias"}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in needed.values())
    assert steps.grad.isfinite().all()
    assert (steps.grad[1, 1:] == 0).all(), "nothing behind the end of the second clip"
    assert steps.grad[1, 0].abs().sum() > 0


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum(axis=0)


def expected(name: str, part: nn.Module, x: np.ndarray) -> np.ndarray:
    values = {key: value.detach().numpy() for key, value in part.named_parameters()}
    if name == "attention":
        scores = np.tanh(x @ values["score.0.weight"].T + values["score.0.bias"]) @ values["score.2.weight"].T
        return (softmax(scores) * x).sum(axis=0)
    if name == "conv-max":
        padded = np.pad(x, ((1, 1), (0, 0)))
        kernel, bias = values["convolution.weight"], values["convolution.bias"]  # (units, width, 3)
        found = [np.einsum("uwk,kw->u", kernel, padded[step : step + 3]) + bias for step in range(len(x))]
        return np.maximum(found, 0).max(axis=0)
    if name == "qkv":
        q, k, v = (
            given @ values[f"{what}.weight"].T + values[f"{what}.bias"]
            for what, given in (("query", x.mean(axis=0)), ("key", x), ("value", x))
        )
        heads = np.split(np.arange(UNITS), HEADS)
        return np.concatenate([softmax(k[:, h] @ q[h] / np.sqrt(len(h))) @ v[:, h] for h in heads])
    mean, largest, std = x.mean(axis=0), x.max(axis=0), x.std(axis=0)
    both = {"mean": [mean], "max": [largest], "mean-max": [mean, largest], "mean-std": [mean, std]}
    return np.concatenate(both[name])


@pytest.mark.parametrize("name", POOLINGS)
def test_pooling_is_its_formula(name):
    part, (clip,) = made(name), clips(7)
    with torch.no_grad():
        got = part(clip[None])[0].numpy()
    assert np.allclose(got, expected(name, part, clip.numpy().astype(np.float64)), atol=1e-5)
