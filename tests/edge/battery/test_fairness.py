"""Gaps between groups, against those of random models; and the pitch by which speakers are grouped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_precision, multiclass_recall

from edge.battery.answers import drawn
from edge.battery.fairness import fairness_rows, gaps
from edge.battery.pitch import pitch_group, voiced_pitch
from edge.battery.rows import confusions

RATE = 16000
EVEN = np.full(4, 0.25)


def torch_of(values: np.ndarray):
    import torch

    return torch.from_numpy(values)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), models=st.integers(1, 3))
def test_confusions_are_those_of_torchmetrics(seed, n, models):
    rng = np.random.default_rng(seed)
    truth, answers = rng.integers(4, size=n), rng.integers(4, size=(models, n))
    for made, given_answers in zip(confusions(truth, answers, 4), answers, strict=True):
        wanted = multiclass_confusion_matrix(torch_of(given_answers), torch_of(truth), num_classes=4)
        assert np.array_equal(made, wanted.numpy())


def test_gaps_are_differences_of_recall_and_precision():
    rng = np.random.default_rng(1)
    truth, answers, member = rng.integers(4, size=400), rng.integers(4, size=(1, 400)), rng.random(400) < 0.3

    def figure(function, chosen) -> np.ndarray:
        given_answers, wanted = torch_of(answers[0][chosen]), torch_of(truth[chosen])
        return function(given_answers, wanted, num_classes=4, average=None).numpy()

    everybody = np.full(400, True)
    recall, precision = (
        figure(function, member) - figure(function, everybody) for function in (multiclass_recall, multiclass_precision)
    )
    wanted = [abs(recall.mean()), np.abs(recall).max(), np.abs(precision).max()]
    assert gaps(truth, answers, member, 4)[0] == pytest.approx(wanted, abs=1e-6)


def test_a_group_is_compared_in_the_classes_that_it_has():
    truth = np.array([0, 0, 1, 1])
    answers = np.array([[0, 1, 1, 1]])
    first = np.array([True, False, False, False])
    assert gaps(truth, answers, first, 2)[0] == pytest.approx([0.5, 0.5, 0.0])


def test_a_model_that_fails_one_sex_fails_and_random_models_pass():
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=600)
    groups = ["female" if person else "male" for person in rng.random(600) < 0.5]
    wrong_of_men = np.where(np.array(groups) == "male", (truth + 1) % 4, truth)
    answers = np.stack([wrong_of_men, *drawn(rng, EVEN, (20, 600))])
    rows = fairness_rows("own", "sex", truth, answers, groups, EVEN, 0)
    assert len(rows) == 6
    assert not any(row.passed for row in rows)
    assert all(row.random == 1 for row in rows)
    assert all(0 < row.threshold < 0.5 for row in rows)
    assert fairness_rows("own", "sex", truth, answers, groups, EVEN, 0) == rows
    even = fairness_rows("own", "sex", truth, np.stack([truth, *answers[1:]]), groups, EVEN, 0)
    assert all(row.passed and row.value == 0 for row in even)


def test_fewer_clips_allow_larger_gaps():
    rng = np.random.default_rng(0)

    def threshold(n: int) -> float:
        truth = rng.integers(4, size=n)
        groups = ["low", "high"] * (n // 2)
        return fairness_rows("own", "pitch", truth, drawn(rng, EVEN, (2, n)), groups, EVEN, 0)[0].threshold

    assert threshold(60) > 1.5 * threshold(600)


@pytest.mark.parametrize(
    ("groups", "reason"), [([None] * 4, "not known"), (["male", None] * 2, "all speakers are male")]
)
def test_without_two_groups_the_test_is_skipped(groups, reason):
    (row,) = fairness_rows("own", "sex", np.arange(4), np.zeros((2, 4), dtype=int), groups, EVEN, 0)
    assert (row.value, row.passed, row.random) == (None, None, None)
    assert reason in row.reason


def voice(pitch: float, seconds: float = 0.6, seed: int = 0) -> np.ndarray:
    """Harmonics that fall by 6 dB per octave, with a little noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    harmonics = sum(np.sin(2 * np.pi * k * pitch * time + k) / k for k in range(1, int(4000 / pitch)))
    return (0.1 * harmonics + 0.003 * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)


@settings(max_examples=30)
@given(st.floats(60, 330))
def test_the_pitch_of_a_voice(pitch):
    found = voiced_pitch(voice(pitch), RATE)
    assert len(found) > 10
    assert np.median(found) == pytest.approx(pitch, rel=0.03)


def test_noise_silence_and_a_click_have_no_pitch():
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    for waveform in (noise, np.zeros(RATE, dtype=np.float32), np.ones(5, dtype=np.float32)):
        assert len(voiced_pitch(waveform, RATE)) == 0
    assert pitch_group([noise], RATE) is None


@pytest.mark.parametrize(("pitch", "group"), [(110, "low"), (165, "medium"), (230, "high")])
def test_pitch_groups(pitch, group):
    assert pitch_group([voice(pitch), voice(pitch * 1.02)], RATE) == group


def test_a_class_that_is_seldom_answered_may_differ_more():
    """A model that draws, one answer in fifty of the last class, is no less fair than another."""
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=600)
    groups = ["female", "male"] * 300
    seldom = drawn(rng, np.array([0.4, 0.3, 0.28, 0.02]), (1, 600))
    rows = fairness_rows("own", "sex", truth, np.concatenate([seldom, drawn(rng, EVEN, (20, 600))]), groups, EVEN, 0)
    assert all(row.passed and row.random == 1 for row in rows)
    often = fairness_rows("own", "sex", truth, drawn(rng, EVEN, (21, 600)), groups, EVEN, 0)
    assert rows[2].threshold > 2 * often[2].threshold
