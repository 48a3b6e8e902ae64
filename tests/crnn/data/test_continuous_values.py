"""Continuous labels in the lists of own recordings: read, scaled, or refused by recording and value."""

from pathlib import Path

import numpy as np
import pytest

from crnn.config import ModelConfig
from crnn.continuous_labels import continuous_labels
from crnn.data.arousal import arousal_of, is_rated
from crnn.data.continuous_values import estimate_targets, values_of
from crnn.data.own_data import read_own
from crnn.errors import InputError
from crnn.run_config import LAYOUT

HEADER = "path,emotion,speaker,Valence,dominance,Arousal,notes\n"


def listed(tmp_path: Path, *cells: str):
    """Recordings with these last four cells."""
    for n, _ in enumerate(cells):
        (tmp_path / f"{n}.wav").write_bytes(b"")
    rows = [f"{n}.wav,sad,anna{n},{cell}\n" for n, cell in enumerate(cells)]
    (tmp_path / "my.csv").write_text(HEADER + "".join(rows))
    return read_own(f"csv:{tmp_path / 'my.csv'}", LAYOUT).utterances


def test_values_are_places_in_the_range_of_their_label(tmp_path):
    clips = listed(tmp_path, "1,0.5,,loud", '"2,5",n/a,,', "5,1,0.25,")
    labels = continuous_labels(["valence:1:5", "dominance"])
    assert np.array_equal(values_of(clips, labels), [[1, 0.5], [2.5, np.nan], [5, 1]], equal_nan=True)
    targets = estimate_targets(clips, ModelConfig(continuous=("valence:1:5", "dominance")))
    assert targets.dtype == np.float32
    assert np.array_equal(targets, np.array([[0, 0.5], [0.375, np.nan], [1, 1]], np.float32), equal_nan=True)
    assert np.isnan(estimate_targets(clips, ModelConfig(arousal=True, continuous=("dominance",)))[1, 1])


def test_the_owners_arousal_comes_before_that_of_the_emotion(tmp_path):
    given, without = listed(tmp_path, "1,1,0.9,", "1,1,,")
    assert (arousal_of(given), is_rated(given)) == (0.9, True)
    assert (arousal_of(without), is_rated(without)) == (pytest.approx(0.365), False)
    targets = estimate_targets((given, without), ModelConfig(arousal=True, continuous=("valence",)))
    assert targets.tolist() == [[pytest.approx(0.9), 1.0], [pytest.approx(0.365), 1.0]]


@pytest.mark.parametrize(
    ("cell", "model", "says"),
    [
        ("6,,,", ModelConfig(continuous=("valence:1:5",)), "0.wav: valence is '6'; give a number from 1 to 5"),
        ("high,,,", ModelConfig(continuous=("valence:1:5",)), "0.wav: valence is 'high'; give a number from 1 to 5"),
        ("inf,,,", ModelConfig(continuous=("valence",)), "0.wav: valence is 'inf'; give a number from 0 to 1"),
        (",,3,", ModelConfig(arousal=True), "0.wav: arousal is '3'; give a number from 0 to 1"),
        (",,,x", ModelConfig(continuous=("valence",)), "no training clip has a value in a column valence"),
        (",,,x", ModelConfig(continuous=("tempo",)), "no training clip has a value in a column tempo"),
    ],
)
def test_a_value_that_cannot_be_is_one_line(tmp_path, cell, model, says):
    with pytest.raises(InputError, match=says) as refused:
        estimate_targets(listed(tmp_path, cell), model)
    assert "\n" not in str(refused.value)


def test_a_corpus_without_labels_has_no_values(tmp_path):
    clips = listed(tmp_path, "1,0.5,,")
    with pytest.raises(InputError, match="no training clip has a value"):
        estimate_targets(clips, ModelConfig(continuous=("valence",)), without=["own"])
