"""Losses of continuous labels against NumPy and TorchMetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.regression import concordance_corrcoef

from crnn.training.regression import ccc_loss, squared_error

NAN = float("nan")


def a_batch(seed: int, n: int = 20, labels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.rand(n, labels, generator=generator)
    return 0.6 * targets + 0.3 * torch.rand(n, labels, generator=generator), targets


@given(st.integers(0, 1000), st.integers(3, 40))
def test_ccc_is_lins_over_the_known_clips(seed, n):
    estimates, targets = a_batch(seed, n)
    targets[0, 0] = targets[-1, 2] = NAN
    expected = []
    for x, y in zip(estimates.double().numpy().T, targets.double().numpy().T, strict=True):
        known = np.isfinite(y)
        x, y = x[known], y[known]
        expected.append(1 - 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))
    assert ccc_loss(estimates, targets).tolist() == pytest.approx(expected, abs=1e-4)


def test_ccc_is_nearly_torchmetrics_which_divides_by_one_less():
    estimates, targets = a_batch(1, 2000, 1)
    theirs = concordance_corrcoef(estimates[:, 0], targets[:, 0])
    assert float(1 - ccc_loss(estimates, targets)) == pytest.approx(float(theirs), abs=1e-3)


def test_squared_error_is_the_mean_over_the_known_clips():
    estimates, targets = a_batch(2)
    targets[:5, 0] = NAN
    expected = np.nanmean((estimates.numpy() - targets.numpy()) ** 2, axis=0)
    assert squared_error(estimates, targets).tolist() == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize("loss", [squared_error, ccc_loss])
def test_what_is_not_known_moves_nothing(loss):
    estimates, targets = a_batch(3)
    targets[:, 1] = NAN
    targets[3] = NAN
    estimates.requires_grad_()
    found = loss(estimates, targets)
    assert found[1] == 0
    found.sum().backward()
    assert estimates.grad.isfinite().all()
    assert not estimates.grad[3].any()
    assert not estimates.grad[:, 1].any()
    assert estimates.grad[0, 0] != 0


@pytest.mark.parametrize("value", [0.5, NAN])
def test_a_single_clip_and_a_constant_give_finite_gradients(value):
    estimates = torch.full((4, 1), 0.5, requires_grad=True)
    targets = torch.tensor([[0.5], [value], [value], [value]])
    loss = ccc_loss(estimates, targets).sum()
    loss.backward()
    assert loss.isfinite()
    assert estimates.grad.isfinite().all()
    assert bool(loss == 0) == np.isnan(value), "one clip has no correlation, a constant has none with itself"
