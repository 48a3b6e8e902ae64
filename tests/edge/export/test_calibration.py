"""Temperature and threshold: recovered from enough data, left at their defaults otherwise."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn.metrics import at_chance
from edge.bundle.__main__ import _calibrated_on
from edge.export.calibration import choose_decision, judge_decision
from edge.export.pipeline import _doubts
from edge.stream.decision import DecisionConfig, probabilities


def calibrated(rng, n: int, n_classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits at whose temperature of 1 the probabilities are true, and labels drawn by them."""
    logits = rng.normal(size=(n, n_classes)) * 2
    labels = [rng.choice(n_classes, p=p / p.sum()) for p in probabilities(logits, 1.0).astype(float)]
    return logits, np.array(labels)


def test_temperature_and_threshold_are_recovered():
    logits, labels = calibrated(np.random.default_rng(0), 4000)
    decision, data = choose_decision(3 * logits, labels, 0.8)
    assert data.unfitted == ""
    assert decision.temperature == pytest.approx(3.0, rel=0.1), "overconfident by a factor of 3"
    assert choose_decision(logits, labels, 1.0)[0].min_confidence == 0.0
    worth = judge_decision(3 * logits, labels, decision)
    assert worth.coverage == pytest.approx(0.8, abs=0.01)
    assert worth.ece < 0.03 < worth.ece_before
    assert worth.accuracy_covered > worth.accuracy == worth.curve[0][1]
    accuracies = [accuracy for _, accuracy in worth.curve]
    assert accuracies == sorted(accuracies), "with true probabilities, the surer the righter"


def test_a_temperature_that_is_given_is_used_and_the_threshold_belongs_to_it():
    logits, labels = calibrated(np.random.default_rng(0), 1000)
    decision, data = choose_decision(logits, labels, 0.8, temperature=2.0)
    assert decision.temperature == 2.0
    assert data.given and not data.unfitted
    assert (probabilities(logits, 2.0).max(axis=1) >= decision.min_confidence).mean() == pytest.approx(0.8, abs=0.01)
    assert "given" in " ".join(_calibrated_on(asdict(data)))
    assert not choose_decision(logits, labels, 0.8)[1].given


def test_a_threshold_is_at_most_0_9():
    labels = np.arange(400) % 4
    easy = 20.0 * np.eye(4)[labels] + np.random.default_rng(0).normal(size=(400, 4))
    decision, _ = choose_decision(easy, labels, 0.9)
    assert decision.min_confidence == 0.9
    assert judge_decision(easy, labels, decision).coverage == 1.0


@settings(deadline=None, max_examples=25)
@given(st.floats(0.4, 3.0), st.integers(3, 12), st.integers(0, 99))
def test_much_data_gives_the_true_temperature(truth, decisions_per_clip, seed):
    logits, labels = calibrated(np.random.default_rng(seed), 2000)
    clips = np.repeat(np.arange(2000), decisions_per_clip)
    decision, data = choose_decision(truth * logits[clips], labels[clips], 0.9, clips, clips // 10)
    assert (data.speakers, data.clips) == (200, 2000)
    assert decision.temperature == pytest.approx(truth, rel=0.2)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 2), st.integers(1, 30), st.integers(1, 8), st.floats(0.1, 20), st.integers(0, 99))
def test_one_or_two_speakers_fit_nothing(speakers, n, decisions_per_clip, scale, seed):
    """Whatever the logits: no temperature of 0.05, no confidence of 0.99."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    clips = np.repeat(np.arange(n), decisions_per_clip)
    logits = (scale * np.eye(4)[labels] + rng.normal(size=(n, 4)))[clips]
    decision, data = choose_decision(logits, labels[clips], 0.9, clips, clips % speakers)
    assert decision.temperature == 1.0
    assert 0 < decision.min_confidence <= 0.5
    assert (probabilities(logits, 1.0).max(axis=1) >= decision.min_confidence).mean() >= 0.8, "it still answers"
    assert "3 are needed" in data.unfitted


@settings(deadline=None, max_examples=50)
@given(st.integers(3, 6), st.integers(5, 8), st.floats(0.5, 50), st.integers(0, 99))
def test_a_few_easy_clips_change_the_temperature_little(speakers, per_class, scale, seed):
    """Where everything is right, the likelihood alone asks for a temperature of 0."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(4), per_class)
    logits = scale * np.eye(4)[labels] + 0.1 * rng.normal(size=(len(labels), 4))
    clips = np.arange(len(labels))
    decision, data = choose_decision(logits, labels, 0.9, clips, clips % speakers)
    assert data.unfitted == ""
    assert 0.5 < decision.temperature < 2


def test_more_decisions_of_the_same_clips_add_no_evidence():
    logits, labels = calibrated(np.random.default_rng(1), 60)
    clips = np.repeat(np.arange(60), 20)
    once, _ = choose_decision(2 * logits, labels, 0.9, np.arange(60), np.arange(60) % 6)
    often, data = choose_decision(2 * logits[clips], labels[clips], 0.9, clips, clips % 6)
    assert often.temperature == pytest.approx(once.temperature, rel=1e-3)
    assert data.clips == 60
    assert data.effective_clips == pytest.approx(60 / (1 + 9 * 0.05), abs=0.1)


def test_one_speaker_counts_as_twenty_clips_at_most():
    labels = np.arange(40_000) % 4
    _, data = choose_decision(np.eye(4)[labels], labels, 0.9, np.arange(40_000), np.zeros(40_000))
    assert data.effective_clips <= 20


def test_too_few_clips_of_a_class_fit_nothing():
    labels = np.array([0] * 50 + [1] * 50 + [2] * 4)
    decision, data = choose_decision(np.eye(3)[labels], labels, 0.9)
    assert re.match("4 clips .* 5 ", data.unfitted)
    assert decision.temperature == 1.0
    assert decision.min_confidence <= 0.5


def test_an_optimum_at_the_end_of_the_search_range_is_not_used():
    """Logits far too large on much data, so that the prior has little weight."""
    logits, labels = calibrated(np.random.default_rng(0), 4000)
    decision, data = choose_decision(1000 * logits, labels, 0.9)
    assert decision.temperature == 1.0
    assert re.search("temperature .*0.05 .*20 ", data.unfitted)


PART = {"recall": dict.fromkeys("abcd", 0.3), "uar": 0.3}


@pytest.mark.parametrize(
    ("ends", "uar", "expected"),
    [
        ([0.26, 0.4], 0.3, ""),
        ([0.2, 0.4], 0.3, r"\(95 % interval 20.0% to 40.0%\) of dev .*chance.* 25.0%"),
        (None, 0.3, "dev .*one speaker.* 25.0%"),
        (None, 0.2, "UAR 20.0% of dev .*chance.* 25.0%"),
    ],
)
def test_a_model_at_chance_is_reported(ends, uar, expected):
    found = at_chance(PART | {"uar": uar, "uar_ci95": ends}, "dev")
    assert re.search(expected, found)
    assert bool(expected) == bool(found)


def test_bundle_and_log_report_the_calibration_data():
    labels = np.arange(12) % 4
    decision, data = choose_decision(5 * np.eye(4)[labels], labels, 0.9, np.arange(12), np.zeros(12))
    guess = at_chance(PART | {"uar_ci95": None, "uar": 0.2}, "development speakers")
    doubts = list(_doubts(replace(data, at_chance=guess), decision))
    assert [line.split()[0] for line in doubts] == ["WARNING:", "temperature"]
    assert re.search("1 development speaker, 3 .* 3 clips .* 5 ", doubts[1])
    lines = _calibrated_on(asdict(replace(data, at_chance=guess)))
    assert lines[0].startswith("WARNING") and guess in lines[0]
    assert re.search("not calibrated.* 1 development speaker", lines[1])
    logits, many = calibrated(np.random.default_rng(0), 200)
    decision, data = choose_decision(logits, many, 0.9, np.arange(200), np.arange(200) % 10)
    assert list(_doubts(data, decision)) == []
    (line,) = _calibrated_on(asdict(data))
    assert re.search(" 200 clips .*10 development speakers.* 102.6 ", line)
    assert _calibrated_on({}) == []


def test_the_confidence_is_valid_json_even_without_answers():
    worth = judge_decision(np.zeros((5, 4)), np.zeros(5, int), DecisionConfig(1.0, 0.5))
    assert worth.coverage == 0
    assert json.loads(json.dumps(asdict(worth), allow_nan=False))["accuracy_covered"] is None
