"""What is known of a recording's arousal, from listeners, from the intensity that was asked for, from the emotion."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn.data.arousal import AROUSAL, STRENGTHS, arousal_of, arousal_targets, is_rated, level
from crnn.data.corpora import Utterance, read_corpus
from crnn.errors import InputError
from crnn.labels import EMOTIONS


def clip(emotion: str = "angry", corpus: str = "emodb", **more) -> Utterance:
    return Utterance(Path("/x/a.wav"), corpus, "03", None, emotion, **more)


def test_every_emotion_but_other_has_an_arousal_in_the_published_order():
    assert set(AROUSAL) == set(EMOTIONS) - {"other"}
    order = sorted(AROUSAL, key=level)
    assert order[:4] == ["bored", "calm", "sad", "neutral"]
    assert order[4] == "disgust"
    assert level("neutral") == 0.5
    assert level("anger") == level("angry"), "another word for it"
    assert math.isnan(level("sarcastic"))


@given(emotion=st.sampled_from(sorted(AROUSAL)), one=st.floats(0, 1), other=st.floats(0, 1))
def test_strength_raises_what_is_above_neutral_and_nothing_else(emotion, one, other):
    low, high = (level(emotion, strength) for strength in sorted((one, other)))
    assert 0 <= low <= high <= 1
    if AROUSAL[emotion] > 0:
        assert level(emotion, 0) == 0.5 <= low
    else:
        assert low == high == level(emotion)


def test_an_emotion_alone_is_typical_and_an_intensity_that_was_asked_for_is_not():
    assert arousal_of(clip()) == pytest.approx((1 + 0.59) / 2)
    normal, strong = (arousal_of(clip(corpus="ravdess", intensity=name)) for name in ("normal", "strong"))
    assert (normal, strong) == pytest.approx((0.5 + 0.59 / 4, 0.5 + 0.59 * 3 / 4))
    assert set(STRENGTHS) >= {"normal", "strong", "low", "medium", "high"}, "what the readers give"


def test_listeners_come_before_what_the_actor_was_asked_for():
    votes, ratings = (("angry", 0.75), ("neutral", 0.25)), (("angry", 0.8), ("neutral", 0.9))
    rated = clip("sad", "crema_d", intensity="high", votes=votes, ratings=ratings)
    assert is_rated(rated)
    assert arousal_of(rated) == pytest.approx(0.75 * level("angry", 0.8) + 0.25 * 0.5)
    for unrated in (clip("sad", votes=votes), clip("sad", ratings=ratings)):
        assert not is_rated(unrated)
        assert arousal_of(unrated) == level("sad")


def test_targets_are_unknown_where_labels_may_not_be_used():
    members = [clip(), clip("sarcastic"), clip("sad", "emovo")]
    made = arousal_targets(members, without=("emovo",))
    assert (made.dtype, made.shape) == (np.float32, (3,))
    assert np.isfinite(made).tolist() == [True, False, False]
    with pytest.raises(InputError, match="angry"):
        arousal_targets(members[1:], without=("emovo",))


HEADER = '"","A","D","F","H","N","S","fileName","meanAngerResp","meanDisgustResp","meanFearResp","meanHappyResp",'
HEADER += '"meanNeutralResp","meanSadResp"\n'


def crema_d(folder: Path, *rows: str) -> Utterance:
    (folder / "AudioWAV").mkdir()
    (folder / "AudioWAV" / "1001_IEO_ANG_HI.wav").write_bytes(b"x")
    (folder / "tabulatedVotes.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return read_corpus("crema_d", folder / "AudioWAV").utterances[0]


def test_crema_d_gives_the_ratings_of_the_voice_alone(tmp_path):
    voice = '"100001",3,0,0,0,1,0,"1001_IEO_ANG_HI",80,-1,-1,-1,55.5,-1'
    both = '"300001",9,0,0,0,0,0,"1001_IEO_ANG_HI",99,-1,-1,-1,-1,-1'
    read = crema_d(tmp_path, voice, both)
    assert dict(read.votes) == {"angry": 0.75, "neutral": 0.25}
    assert dict(read.ratings) == pytest.approx({"angry": 0.8, "neutral": 0.555})
    assert arousal_of(read) == pytest.approx(0.75 * level("angry", 0.8) + 0.25 * 0.5)


@pytest.mark.parametrize("rating", ["-1", "101", "much", ""])
def test_a_rating_that_cannot_be_one_is_refused_with_its_line(tmp_path, rating):
    with pytest.raises(InputError, match=r"tabulatedVotes.csv line 2: meanangerresp"):
        crema_d(tmp_path, f'"100001",3,0,0,0,1,0,"1001_IEO_ANG_HI",{rating},-1,-1,-1,50,-1')
