"""Parts over time: equal to their formulas, and what lies behind a clip's end changes nothing."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from crnn.data.padded import Padded
from crnn.models.registry import SEQUENCES
from crnn.models.sequence import BiGRU, BiLSTM, InstanceNorm, Matching, SelfAttention, positions
from crnn.system_config import SystemConfig

WIDTH = 6
CONFIG = SystemConfig(units=8, heads=2, sequence_layers=2)


def made(part, config: SystemConfig = CONFIG) -> nn.Module:
    torch.manual_seed(0)
    return part(WIDTH, config).eval()


def clips(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(n, WIDTH, generator=generator) for n in lengths]


@pytest.mark.parametrize("name", SEQUENCES)
@settings(max_examples=10)
@given(lengths=st.lists(st.integers(1, 12), min_size=2, max_size=4))
def test_a_clip_alone_and_in_a_batch_of_longer_ones(name, lengths):
    part, each = made(SEQUENCES[name]), clips(*lengths)
    batch = Padded.of(each)
    with torch.no_grad():
        together = part(batch.values, batch.mask)
        for clip, row in zip(each, together, strict=True):
            alone = part(clip[None])[0]
            assert alone.shape == (len(clip), part.width)
            assert torch.allclose(row[: len(clip)], alone, atol=1e-5)
    assert together.isfinite().all()


@pytest.mark.parametrize("name", SEQUENCES)
def test_gradients_reach_every_parameter(name):
    part, batch = made(SEQUENCES[name]), Padded.of(clips(9, 4))
    found = part(batch.values, batch.mask)
    (found * torch.randn(found.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_bigru_is_cells_a_residual_and_layer_norm():
    part, (clip,) = made(BiGRU), clips(7)
    x = clip
    for layer, shortcut, norm in zip(part.layers, part.shortcuts, part.norms, strict=True):
        states = []
        for suffix, order in (("", range(7)), ("_reverse", range(6, -1, -1))):
            cell = nn.GRUCell(x.shape[1], 8)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(cell, name).data = getattr(layer, f"{name}_l0{suffix}").data
            state, by_step = torch.zeros(1, 8), {}
            for step in order:
                state = cell(x[step][None], state)
                by_step[step] = state[0]
            states.append(torch.stack([by_step[step] for step in range(7)]))
        x = shortcut(x) + torch.cat(states, dim=1)
        mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, unbiased=False, keepdim=True)
        x = (x - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias
    assert torch.allclose(part(clip[None])[0], x, atol=1e-5)


def test_bilstm_is_torchs():
    part, (clip,) = made(BiLSTM), clips(7)
    theirs = nn.LSTM(WIDTH, 8, num_layers=2, batch_first=True, bidirectional=True)
    theirs.load_state_dict(part.lstm.state_dict())
    assert torch.allclose(part(clip[None]), theirs(clip[None])[0], atol=1e-6)


def test_positions_are_sines_and_cosines():
    expected = [
        [f(step / 10_000 ** (2 * pair / 6)) for pair in range(3) for f in (math.sin, math.cos)] for step in range(50)
    ]
    assert np.allclose(positions(50, 6).numpy(), expected, atol=1e-5)


def test_self_attention_is_the_formula():
    part, (clip,) = made(SelfAttention), clips(7)
    x = part.project(clip) + positions(7, 8)
    for layer, norm in zip(part.layers, part.norms, strict=True):
        q, k, v = (x @ layer.in_proj_weight.T + layer.in_proj_bias).split(8, dim=1)
        heads = []
        for head in (slice(0, 4), slice(4, 8)):
            weights = (q[:, head] @ k[:, head].T / 2).softmax(dim=1)  # 2: the square root of 4 values per head
            heads.append(weights @ v[:, head])
        x = norm(x + layer.out_proj(torch.cat(heads, dim=1)))
    with torch.no_grad():
        assert torch.allclose(part(clip[None])[0], x, atol=1e-5)


def test_matching_weighs_every_step_by_its_general_score():
    part, (clip,) = made(Matching), clips(5)
    steps, weight = clip.numpy(), part.transform.weight.detach().numpy()
    for query, got in zip(steps, part(clip[None])[0].detach().numpy(), strict=True):
        scores = np.array([step @ weight @ query for step in steps])
        weights = np.exp(scores) / np.exp(scores).sum()
        assert np.allclose(got, weights @ steps, atol=1e-5)


def test_instance_norm_is_torchs_over_each_clips_own_steps():
    part, each = made(InstanceNorm), clips(9, 4, 1)
    theirs = nn.InstanceNorm1d(WIDTH, affine=True)
    with torch.no_grad():
        for mine, other in ((part.scale, theirs.weight), (part.shift, theirs.bias)):
            other.copy_(mine.copy_(torch.randn(WIDTH)))
        batch = Padded.of(each)
        together = part(batch.values, batch.mask)
        for clip, row in zip(each[:2], together, strict=False):
            assert torch.allclose(row[: len(clip)], theirs(clip.T[None])[0].T, atol=1e-5)
    assert torch.allclose(together[2, 0], part.shift), "a single step is its own mean"


def test_instance_norm_removes_what_is_constant_over_a_clip():
    part, (clip,) = made(InstanceNorm), clips(9)
    assert torch.allclose(part(clip[None] * 3 + torch.randn(WIDTH)), part(clip[None]), atol=1e-4)
