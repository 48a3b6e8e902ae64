"""Focal loss against its definition and against torch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from crnn.training.losses import FocalLoss, balanced_class_weights


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(2, 9), st.floats(0, 5), st.integers(0, 1000))
def test_is_the_formula(batch, classes, gamma, seed):
    rng = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(batch, classes, generator=rng)
    targets = torch.softmax(torch.randn(batch, classes, generator=rng), -1)
    weights = torch.rand(classes, generator=rng) + 0.1
    p = torch.softmax(logits.double(), -1)
    expected = -(weights * targets * (1 - p) ** gamma * p.log()).sum() / (weights * targets).sum()
    assert float(FocalLoss(gamma, weights)(logits, targets)) == pytest.approx(float(expected), rel=1e-4)


def test_without_focus_it_is_cross_entropy():
    logits, labels = torch.randn(16, 8), torch.randint(8, (16,))
    weights = torch.rand(8) + 0.1
    one_hot = F.one_hot(labels, 8).float()
    assert torch.allclose(FocalLoss(0.0, weights)(logits, one_hot), F.cross_entropy(logits, labels, weight=weights))
    soft = torch.softmax(torch.randn(16, 8), -1)
    assert torch.allclose(FocalLoss(0.0)(logits, soft), F.cross_entropy(logits, soft))


def test_stays_finite_where_the_model_is_certain():
    logits = torch.tensor([[100.0, -100.0], [-100.0, 100.0]], requires_grad=True)
    loss = FocalLoss(2.0)(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_balanced_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0] * 5 + [1] * 20 + [2] * 1)
    ours = balanced_class_weights(F.one_hot(labels, 3).float())
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert ours.numpy() == pytest.approx(theirs)
    assert balanced_class_weights(torch.tensor([[1.0, 0.0]])).tolist() == [0.5, 0.0]


def test_refuses_a_negative_gamma():
    with pytest.raises(ValueError, match="gamma is -1"):
        FocalLoss(-1)
