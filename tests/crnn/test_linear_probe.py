"""The linear probe on generated vectors whose answer is known."""

import numpy as np
import pytest
from helpers import needs

from crnn.linear_probe import probe

needs("sklearn", reason="needs scikit-learn")

N, WIDTH, SPEAKERS = 240, 12, 6


def clips(seed: int = 0) -> tuple[np.ndarray, list[str], list[str]]:
    """Vectors without any signal, speakers, and their corpora: three speakers each."""
    speakers = [f"s{number % SPEAKERS}" for number in range(N)]
    corpora = ["x" if number % SPEAKERS < 3 else "y" for number in range(N)]
    return np.random.default_rng(seed).normal(size=(N, WIDTH)), speakers, corpora


def test_what_the_vectors_hold_is_found_and_what_they_do_not_hold_is_not():
    noise, speakers, _ = clips()
    found = probe(noise, speakers)
    assert found["chance"] == pytest.approx(1 / 6)
    assert found["uar"] == pytest.approx(1 / 6, abs=0.09)
    assert (found["n_names"], found["n_clips"], found["left_out"]) == (6, N, 0)
    voices = 3 * np.random.default_rng(1).normal(size=(SPEAKERS, WIDTH))
    separate = noise + voices[np.arange(N) % SPEAKERS]
    assert probe(separate, speakers)["uar"] > 0.95
    assert probe(1000 * separate - 7, speakers)["uar"] == pytest.approx(probe(separate, speakers)["uar"], abs=0.02)


def test_corpora_are_not_told_by_their_speakers():
    """Every speaker has a place of its own, at random: it says nothing of the corpus of a speaker who was left out."""
    noise, speakers, corpora = clips()
    voices = 3 * np.random.default_rng(1).normal(size=(SPEAKERS, WIDTH))
    separate = noise + voices[np.arange(N) % SPEAKERS]
    assert probe(separate, corpora)["uar"] > 0.95
    assert probe(separate, corpora, speakers)["uar"] < 0.75
    microphone = 4 * np.eye(WIDTH)[0] * np.array([corpus == "x" for corpus in corpora])[:, None]
    assert probe(noise + microphone, corpora, speakers)["uar"] > 0.95


def test_what_is_not_linear_is_not_found():
    noise, _, _ = clips()
    ring = ["in" if np.hypot(*row[:2]) < 1.18 else "out" for row in noise]
    assert probe(noise, ring)["uar"] < 0.62


def test_names_with_one_clip_are_left_out_and_one_name_cannot_be_told():
    noise, speakers, corpora = clips()
    speakers[0] = "once"
    found = probe(noise, speakers)
    assert (found["n_names"], found["left_out"]) == (6, 1)
    assert probe(noise, ["a"] * N) is None
    assert probe(noise[:6], speakers[:6]) is None
    assert probe(noise, corpora, corpora) is None, "one group for each name: nobody is left to fit on"
