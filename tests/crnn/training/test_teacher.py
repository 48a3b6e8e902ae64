"""What a speech encoder teaches: no answer from a model of the same speaker, nothing from development and test."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_whisper import needs_transformers

from crnn.data.cache import AudioCache
from crnn.data.corpora import Utterance
from crnn.data.splits import Split
from crnn.errors import InputError
from crnn.models.pretrained import SpeechEncoder
from crnn.run_config import RunConfig, TeacherConfig
from crnn.training.teacher import Lessons, answers, components, open_taught

needs_transformers()

LABELS = ("angry", "happy", "sad")
CONFIG = TeacherConfig("anywhere", regularization=1.0, components=3)


def lessons(seed: int = 0) -> Lessons:
    """Two corpora of five speakers who say every emotion four times; each emotion lies elsewhere."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.repeat(np.arange(3), 4), 10)
    speakers = np.repeat([f"{corpus}:{number}" for corpus in "ab" for number in range(5)], 12)
    x = rng.standard_normal((120, 8)) + 3 * np.eye(3, 8)[labels]
    return Lessons(x.astype(np.float32), labels, speakers, np.array([name[0] for name in speakers]))


def test_answers_are_probabilities_that_know_the_emotion():
    given = lessons()
    found = answers(given, 3, CONFIG)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found.argmax(axis=1) == given.labels).mean() > 0.9


def test_no_clip_is_answered_by_a_model_of_its_speaker():
    """Other labels of one speaker change the answers to others, and not to him."""
    given = lessons()
    his = given.speakers == "a:2"
    other = replace(given, labels=np.where(his, (given.labels + 1) % 3, given.labels))
    before, after = answers(given, 3, CONFIG), answers(other, 3, CONFIG)
    assert np.array_equal(before[his], after[his])
    assert np.abs(before[~his] - after[~his]).max() > 0.01


def test_clips_without_a_label_are_answered_and_teach_no_answer():
    given = lessons()
    unlabelled = given.corpora == "b"
    one = replace(given, labels=np.where(unlabelled, -1, given.labels))
    moved = replace(one, embeddings=one.embeddings + 5 * unlabelled[:, None].astype(np.float32))
    found = answers(one, 3, CONFIG)
    assert (found[unlabelled].argmax(axis=1) == given.labels[unlabelled]).mean() > 0.9
    assert np.array_equal(found[~unlabelled], answers(moved, 3, CONFIG)[~unlabelled])


def test_a_class_that_nobody_has_is_never_answered():
    assert not answers(lessons(), 4, CONFIG)[:, 3].any()


def test_components_are_principal_components_by_variance():
    from sklearn.decomposition import PCA

    given = lessons()
    standard = (given.embeddings - given.embeddings.mean(axis=0)) / given.embeddings.std(axis=0)
    expected = PCA(3).fit_transform(standard)
    found = components(given, CONFIG)
    assert found.shape == (120, 3)
    assert found.std(axis=0).mean() == pytest.approx(1, rel=1e-4)
    for ours, theirs in zip(found.T, (expected / expected.std(axis=0).mean()).T, strict=True):
        assert min(np.abs(ours - theirs).max(), np.abs(ours + theirs).max()) < 1e-3, "up to the sign"


class FirstSamples(SpeechEncoder):
    """The first samples of a recording are its embedding."""

    def embed(self, waveform: np.ndarray) -> np.ndarray:
        return np.array(waveform[: self.width])


ENCODER = FirstSamples(Path("first"), "whisper", (1,), 8, "hash", "key")


def recorded(others: float = 0.0, only: tuple[str, ...] = ()):
    """Configuration, split and recordings; `others` is added to those of development and test speakers."""
    given = lessons()
    parts = {"a:0": "dev", "b:0": "dev", "a:1": "test"}
    members: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    clips, samples = {}, {"a": given.embeddings.copy(), "b": given.embeddings.copy()}
    for row, (label, speaker) in enumerate(zip(given.labels, given.speakers, strict=True)):
        corpus, number = speaker.split(":")
        part = parts.get(speaker, "train")
        u = Utterance(Path(f"{row}.wav"), corpus, number, None, LABELS[label])
        members[part].append(u)
        samples[corpus][row] += others * (part != "train")
        clips[u.name] = (8 * row, 8, f"{part}{row}{others if part != 'train' else ''}")
    cache = AudioCache({corpus: rows.reshape(-1) for corpus, rows in samples.items()}, clips, {})
    config = RunConfig(teacher=replace(CONFIG, only=only))
    return config, Split.of("any", 0, LABELS, members), cache


def test_development_and_test_speakers_teach_nothing(tmp_path):
    plain = open_taught(*recorded(), ENCODER, tmp_path / "one")
    without = open_taught(*recorded(others=9.0), ENCODER, tmp_path / "other")
    assert plain.targets.shape == (84, 3 + 3)
    assert np.array_equal(plain.targets, without.targets)
    config, split, cache = recorded()
    relabelled = {part: [replace(u, emotion="sad") for u in members] for part, members in split.sets()}
    other = replace(split, dev=tuple(relabelled["dev"]), test=tuple(relabelled["test"]))
    assert np.array_equal(plain.targets, open_taught(config, other, cache, ENCODER, tmp_path / "third").targets)


def test_what_is_taught_is_stored(tmp_path, monkeypatch):
    config, split, cache = recorded(only=("b",))
    first = open_taught(config, split, cache, ENCODER, tmp_path)
    monkeypatch.setattr("crnn.training.teacher.answers", None)
    assert np.array_equal(first.targets, open_taught(config, split, cache, ENCODER, tmp_path).targets)


@pytest.mark.parametrize(
    ("settings", "says"), [({"components": 9}, "components .*9"), ({"only": ("a", "b")}, "angry, happy, sad")]
)
def test_what_cannot_be_taught_is_refused(tmp_path, settings, says):
    config, split, cache = recorded()
    with pytest.raises(InputError, match=says):
        open_taught(replace(config, teacher=replace(config.teacher, **settings)), split, cache, ENCODER, tmp_path)


def test_one_speaker_cannot_be_cross_fitted():
    given = lessons()
    with pytest.raises(InputError, match="speakers"):
        answers(replace(given, speakers=np.full(120, "a:1")), 3, CONFIG)
