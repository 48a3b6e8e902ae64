"""Pruning removes channels for good, and what it keeps computes what it did."""

from dataclasses import replace

import pytest
import torch

from crnn.config import InputError, ModelConfig
from crnn.model import CRNN, count_macs, count_parameters
from crnn.run_config import RunConfig
from edge.prune import prune

CONFIG = replace(RunConfig(), model=ModelConfig(channels=(8, 12, 16, 10), lstm_units=16, attention_units=8))


def make() -> CRNN:
    torch.manual_seed(0)
    model = CRNN(CONFIG.features, CONFIG.model, 8).eval()
    for block in model.encoder.blocks:
        block[1].running_mean.uniform_(-0.1, 0.1)
        block[1].weight.data.uniform_(0.5, 1.5)
    return model


def test_tensors_shrink_and_so_does_the_work():
    model = make()
    smaller, config = prune(model, CONFIG, 0.5, 8)
    assert config.model.channels == (4, 6, 8, 5)
    assert count_parameters(smaller) < 0.6 * count_parameters(model)
    assert count_macs(smaller, 64, 237) < 0.5 * count_macs(model, 64, 237)
    assert smaller(torch.zeros(1, 64, 237)).shape == (1, 8)


def test_dropping_dead_channels_changes_nothing():
    model = make()
    rng = torch.Generator().manual_seed(3)
    for block in model.encoder.blocks:
        dead = torch.randperm(block[0].out_channels, generator=rng)[: block[0].out_channels // 2]
        for value in (block[1].weight.data, block[1].bias.data):
            value[dead] = 0
    smaller, _ = prune(model, CONFIG, 0.5, 8)
    x = torch.randn(2, 64, 237)
    with torch.no_grad():
        assert torch.allclose(smaller(x), model(x), atol=1e-5)


def test_pruning_nothing_is_the_same_model():
    model = make()
    same, config = prune(model, CONFIG, 0.0, 8)
    assert config == CONFIG
    x = torch.randn(1, 64, 100)
    with torch.no_grad():
        assert torch.equal(same(x), model(x))


def test_a_share_outside_its_range_is_refused():
    with pytest.raises(InputError, match="prune is 1"):
        prune(make(), CONFIG, 1.0, 8)
