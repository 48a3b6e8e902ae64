"""The curves of the last five seconds: where they lie, where they break, and what they forget."""

import re

import numpy as np
import pytest

from edge.page.recent import HIGH, TOP, WIDTH, RecentLabels
from edge.stream.results import State, StreamResult, Verdict


def result(seconds: float, probs, emotion="angry") -> StreamResult:
    kept = None if probs is None else np.array(probs, dtype=np.float32)
    return StreamResult(seconds, State.DECIDING, -20.0, kept, kept, emotion, 0.5)


def curves(svg: str) -> dict[str, list[tuple[str, float, float]]]:
    """Emotion -> (M or L, x, y) of its points."""
    paths = re.findall(r'<path d="([^"]*)"[^>]*><title>([^<]*)</title>', svg)
    points = {name: re.findall(r"([ML])([\d.]+),([\d.]+)", path) for path, name in paths}
    return {name: [(kind, float(x), float(y)) for kind, x, y in found] for name, found in points.items()}


def test_a_decision_stands_for_its_interval_at_the_height_of_its_probability():
    recent = RecentLabels(("angry", "sad"), 0.5)
    recent.add(result(8.0, [0.75, 0.25]))
    recent.add(result(8.5, [1.0, 0.0]))
    drawn = curves(recent.picture(10.0))
    x = [WIDTH * share for share in (0.5, 0.6, 0.7)]
    assert drawn["angry"] == [("M", x[0], TOP + HIGH / 4), ("L", x[1], TOP + HIGH / 4), ("L", x[2], TOP)]
    assert drawn["sad"] == [("M", x[0], TOP + HIGH * 3 / 4), ("L", x[1], TOP + HIGH * 3 / 4), ("L", x[2], TOP + HIGH)]


def test_a_pause_breaks_the_curve_and_noise_has_no_place_in_it():
    recent = RecentLabels(("angry", "sad"), 0.5)
    for seconds, emotion in ((6.5, "angry"), (7.0, Verdict.NOISE), (7.5, "angry"), (8.0, "sad")):
        recent.add(result(seconds, [0.5, 0.5], emotion))
    recent.add(result(9.0, None, None))
    assert "".join(kind for kind, *_ in curves(recent.picture(10.0))["angry"]) == "MLMLL"


@pytest.mark.parametrize(("now", "left"), [(8.0, 2), (8.01, 1), (13.0, 1), (13.1, 0)])
def test_what_is_older_than_five_seconds_is_forgotten(now, left):
    recent = RecentLabels(("angry", "sad"), 0.5)
    for seconds in (3.0, 8.0):
        recent.add(result(seconds, [0.5, 0.5]))
    assert len(curves(recent.picture(now)).get("sad", [])) == 2 * left


def test_of_several_decisions_at_one_time_the_last_is_drawn():
    """What is computed over padding, at the end of an utterance, has the time of the end."""
    recent = RecentLabels(("angry", "sad"), 0.5)
    for share in (0.5, 0.25, 1.0):
        recent.add(result(8.0, [share, 1 - share]))
    assert [y for _, _, y in curves(recent.picture(10.0))["angry"]] == [TOP, TOP]


def test_names_of_emotions_are_escaped():
    recent = RecentLabels(("<script>", "sad"), 0.5)
    recent.add(result(1.0, [0.5, 0.5]))
    assert "<script>" not in recent.picture(1.0)
