"""The supervised contrastive loss against the paper's sum, written as loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crnn.training.contrast import SupervisedContrast, supervised_contrast


def paper(z: np.ndarray, labels: list[int], temperature: float) -> float:
    """L_out of Khosla et al. 2020, equation 2, averaged over the clips that have another of their class."""
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    losses = []
    for i, label in enumerate(labels):
        positives = [j for j, other in enumerate(labels) if other == label and j != i]
        if positives:
            below = sum(math.exp(z[i] @ z[k] / temperature) for k in range(len(z)) if k != i)
            losses.append(-sum(z[i] @ z[j] / temperature - math.log(below) for j in positives) / len(positives))
    return float(np.mean(losses)) if losses else 0.0


@given(st.lists(st.integers(0, 2), min_size=2, max_size=9), st.floats(0.05, 2), st.integers(0, 99))
def test_with_one_hot_targets_it_is_the_papers(labels, temperature, seed):
    z = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(seed))
    found = supervised_contrast(z, torch.eye(3)[labels], temperature)
    assert float(found) == pytest.approx(paper(z.double().numpy(), labels, temperature), rel=1e-3, abs=1e-4)


def test_soft_targets_weigh_pairs_by_their_agreement():
    z = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([[1.0, 0.0], [0.75, 0.25], [0.0, 1.0], [0.5, 0.5]])
    expected = []
    directions = torch.nn.functional.normalize(z, dim=1).double().numpy()
    for i in range(4):
        others = [j for j in range(4) if j != i]
        logits = np.array([directions[i] @ directions[j] / 0.5 for j in others])
        shares = logits - np.log(np.exp(logits).sum())
        weights = np.array([float(targets[i] @ targets[j]) for j in others])
        expected.append(-(weights * shares).sum() / weights.sum())
    assert float(supervised_contrast(z, targets, 0.5)) == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("labels", [[], [1], [0, 1, 2]])
def test_without_a_pair_it_is_0_and_moves_nothing(labels):
    z = torch.randn(len(labels), 5, requires_grad=True)
    loss = supervised_contrast(z, torch.eye(3)[labels], 0.1)
    loss.backward()
    assert loss == 0
    assert not z.grad.any()


def test_training_it_brings_clips_of_a_class_together():
    torch.manual_seed(0)
    contrast, targets = SupervisedContrast(6, 4, 0.1), torch.eye(2).repeat(4, 1)
    pooled = torch.randn(8, 6, requires_grad=True)
    optimizer = torch.optim.Adam([pooled, *contrast.parameters()], lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        contrast(pooled, targets).backward()
        optimizer.step()
    z = torch.nn.functional.normalize(contrast.projection(pooled), dim=1)
    alike = (targets @ targets.T).bool()
    assert (z @ z.T)[alike].min() > (z @ z.T)[~alike].max() + 0.5
