"""Choosing among several people: the mean spectrum of a voice, whom it fits, and profiles that cannot be chosen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn.config import FeatureConfig
from crnn.errors import InputError
from crnn.features import LogMel
from crnn.labels import RAVDESS
from crnn.synthetic import synthesize
from edge.stream.people import UNKNOWN, People, load_people
from edge.stream.profile import Profile
from edge.stream.voice import VoiceSums

FEATURES = FeatureConfig()
LABELS, BUNDLE, WIDTH = ("neutral", "happy"), "ab" * 32, 2


def voice_of(samples: np.ndarray) -> np.ndarray:
    sums = VoiceSums(FEATURES)
    sums.add(samples)
    return sums.vector()


@pytest.fixture(scope="module")
def spoken() -> dict[int, np.ndarray]:
    """SYNTHETIC speaker -> the voice of eight emotions, twice each."""
    return {
        speaker: np.stack(
            [
                voice_of(synthesize(emotion, speaker, 1.5, np.random.default_rng([speaker, take, number])))
                for take in range(2)
                for number, emotion in enumerate(RAVDESS.values())
            ]
        )
        for speaker in range(1, 7)
    }


def profile(voice: np.ndarray | None, bias: float = 0.0) -> Profile:
    n = 1 if voice is None else len(voice)
    return Profile(BUNDLE, LABELS, {"happy": n}, np.zeros((WIDTH, 2), np.float32), np.float32([0, bias]), voice)


@given(cuts=st.lists(st.integers(0, 8000), max_size=6), gain=st.floats(0.05, 1.0))
def test_a_voice_depends_neither_on_its_parts_nor_on_its_level(cuts, gain):
    samples = synthesize("neutral", 1, 0.5, np.random.default_rng(0))[:8000] + 0.01
    sums = VoiceSums(FEATURES)
    for part in np.split(samples, sorted(cuts)):
        sums.add(part)
    np.testing.assert_array_equal(sums.vector(), voice_of(samples))
    expected = LogMel(FEATURES)(samples).mean(axis=1, dtype=np.float64)
    np.testing.assert_allclose(sums.vector(), expected - expected.mean(), atol=1e-5)
    loud = np.random.default_rng(1).standard_normal(4000).astype(np.float32)
    np.testing.assert_allclose(voice_of(np.float32(gain) * loud), voice_of(loud), atol=1e-3)


def test_too_little_of_a_voice_is_none_and_clear_begins_again():
    sums = VoiceSums(FEATURES)
    sums.add(np.ones(FEATURES.n_fft - 1, np.float32))
    assert sums.vector() is None
    sums.clear()
    sums.add(np.ones(1, np.float32))
    assert sums.vector() is None, "the samples before are gone"


@given(home=st.permutations(range(1, 7)), n=st.integers(2, 4))
def test_synthetic_people_are_told_apart_and_a_wrong_person_is_rarer_than_unknown(spoken, home, n):
    """Enrolled with one take of every emotion, tested with the other."""
    people = People({str(speaker): profile(spoken[speaker][:8]) for speaker in home[:n]})
    heard = [(str(speaker), voice) for speaker in home[:n] for voice in spoken[speaker][8:]]
    nearest = sum(people.nearest(voice)[0] == who for who, voice in heard)
    wrong = sum(people.choose(voice) not in (who, UNKNOWN) for who, voice in heard)
    assert nearest > len(heard) / n, "better than chance"
    assert wrong <= 0.07 * len(heard), "unknown is preferred"


@given(scale=st.floats(0.01, 100), shift=st.floats(-5, 5), order=st.permutations([1, 2, 3]))
def test_the_choice_depends_neither_on_units_nor_on_the_order(spoken, scale, shift, order):
    """Another microphone, the same for all, adds the same to every band of everybody."""
    bands = shift * np.linspace(-1, 1, FEATURES.n_mels)
    plain = People({str(speaker): profile(spoken[speaker]) for speaker in (1, 2, 3)})
    moved = People({str(speaker): profile(scale * spoken[speaker] + bands) for speaker in order})
    for voice in spoken[4]:
        name, margin = plain.nearest(voice)
        other, same = moved.nearest(scale * voice + bands)
        assert abs(same - margin) < 1e-6
        assert other == name or margin < 1e-6


def test_a_voice_between_two_people_is_unknown_and_a_persons_own_is_theirs(spoken):
    a, b = spoken[1].mean(axis=0), spoken[2].mean(axis=0)
    people = People({"a": profile(spoken[1]), "b": profile(spoken[2])})
    assert [people.choose(voice) for voice in (a, b, (a + b) / 2, None)] == ["a", "b", UNKNOWN, UNKNOWN]
    assert people.nearest(a)[1] == pytest.approx(1)


def test_logits_are_those_of_the_chosen_person_and_unchanged_for_nobody(spoken):
    people = People({"a": profile(spoken[1], 1.0), "b": profile(spoken[2], 2.0)})
    logits, pooled = np.zeros((3, 2)), np.ones((3, WIDTH))
    for person, change in (("a", 1), ("b", 2), (UNKNOWN, 0), (None, 0)):
        np.testing.assert_array_equal(people.adapt(person, logits, pooled), [[0, change]] * 3)


def test_a_profile_with_a_voice_comes_back_readable_by_its_owner_alone(spoken, tmp_path):
    for name, speaker in (("anna", 1), ("ben", 2)):
        profile(spoken[speaker].astype(np.float32)).save(tmp_path / f"{name}.json")
        assert (tmp_path / f"{name}.json").stat().st_mode & 0o777 == 0o600
    people = load(tmp_path, "anna", "ben")
    np.testing.assert_array_equal(people.profiles["anna"].voice, spoken[1].astype(np.float32))
    assert people.choose(spoken[2].mean(axis=0)) == "ben"


def load(folder, *names: str, bundle: str = BUNDLE, n_mels: int = FEATURES.n_mels) -> People:
    return load_people([folder / f"{name}.json" for name in names], bundle, LABELS, WIDTH, n_mels)


def test_profiles_that_cannot_be_chosen_are_refused_by_name(spoken, tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("anna", "ben", "more/anna", "unknown", "a\u202eb"):
        profile(spoken[1].astype(np.float32)).save(tmp_path / f"{name}.json")
    profile(None).save(tmp_path / "old.json")
    Profile("cd" * 32, LABELS, {"happy": 1}, np.zeros((WIDTH, 2)), np.zeros(2)).save(tmp_path / "foreign.json")
    for names, part in (
        (("anna", "more/anna"), "more/anna.json: two profiles are named anna"),
        (("anna", "foreign"), "foreign.json: made for bundle cdcd"),
        (("anna", "old"), "old: holds no voice.*enrol again"),
        (("anna", "unknown"), "unknown.json: .*rename"),
        (("anna", "a\u202eb"), "rename the file"),
        (("anna",), "two people or more"),
    ):
        with pytest.raises(InputError, match=part):
            load(tmp_path, *names)
    with pytest.raises(InputError, match="profiles anna and ben hold the same sentences"):
        load(tmp_path, "anna", "ben")
    with pytest.raises(InputError, match="anna.json: its voice does not fit"):
        load(tmp_path, "anna", "ben", n_mels=FEATURES.n_mels + 1)
    one = profile(spoken[1][:1])
    with pytest.raises(InputError, match="the same recording"):
        People({"a": one, "b": one})
