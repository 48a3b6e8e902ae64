"""Adaptation in the loop: what counts, what changes, and that nothing does without it."""

import json

import numpy as np
import pytest
import soundfile
from helpers import called
from utterance_scenes import RATE, run, scene, split

import edge
import stream_infer
from crnn.errors import InputError
from edge.audio.energy_vad import EnergyVad
from edge.bundle import PRETRAINED, Bundle
from edge.loop.settings import UtteranceSettings
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.prior import PriorConfig, PriorCorrection
from edge.stream.results import ANSWERED, Verdict

FLOAT32 = PRETRAINED.parent / "float32"
STRONG = PriorConfig(strength=1.0, cap=0.3, prior_utterances=1.0)
SHORT = UtteranceSettings(min_voice_seconds=1.0, max_segment_seconds=5.0)
DAY = scene(
    ("quiet", 1.5), ("voice", 1.6), ("quiet", 1.2), ("voice", 0.4), ("quiet", 1.2), ("voice", 1.4), ("quiet", 1.2),
    ("voice", 7.0), ("quiet", 1.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def shipped():
    return Bundle.open(FLOAT32).recognizer("onnx")


@pytest.fixture(scope="module")
def plain(shipped):
    return split(run(UtteranceRecognizer(shipped, EnergyVad(RATE), SHORT), DAY, 1600))


@pytest.fixture(scope="module")
def voice():
    return soundfile.read(PRETRAINED.parent / "synthetic_voice.flac", dtype="float32")[0]


def adapted_to(prior: PriorCorrection, recognizer) -> tuple[list, list]:
    return split(run(UtteranceRecognizer(recognizer, EnergyVad(RATE), SHORT, prior=prior), DAY, 1600))


def log_probs(segment) -> np.ndarray:
    return np.log(np.array(list(segment.probs.values())))


def test_each_segment_is_adapted_to_those_before_it_that_could_be_answered(shipped, plain):
    """Against the segments of a loop without adaptation, with the correction computed here once more."""
    results, segments = adapted_to(PriorCorrection(6, STRONG), shipped)
    assert [s.verdict for s in plain[1]].count(Verdict.TOO_SHORT) == 1, "one of them must not count"
    assert len(segments) == len(plain[1]) >= 4
    sums, n = np.full(6, 1 / 6), 0
    for ours, theirs in zip(segments, plain[1], strict=True):
        bias = -np.log(6 * sums / (n + 1))
        expected = log_probs(theirs) + np.clip(bias - bias.mean(), -0.3, 0.3)
        expected -= np.log(np.exp(expected).sum())
        np.testing.assert_allclose(log_probs(ours), expected, atol=1e-5)
        assert ours.adapted == n
        assert (ours.start_seconds, ours.end_seconds) == (theirs.start_seconds, theirs.end_seconds)
        if theirs.verdict in ANSWERED:
            sums, n = sums + list(theirs.probs.values()), n + 1
    assert n >= 3
    assert np.abs(bias).max() > 0.1, "or nothing was tested"


def test_every_decision_is_adapted_as_its_segment(shipped, plain):
    results, segments = adapted_to(PriorCorrection(6, STRONG), shipped)
    decided = [(r, p) for r, p in zip(results, plain[0], strict=True) if p.logits is not None]
    assert all(r.adapted is None for r, p in zip(results, plain[0], strict=True) if p.logits is None)
    changes = {}
    for ours, theirs in decided:
        change = ours.logits - theirs.logits
        assert ours.logits.dtype == np.float32
        np.testing.assert_allclose(change, changes.setdefault(ours.adapted, change), atol=1e-5)
    assert {*changes} == {s.adapted for s in segments}
    assert not changes[0].any()


def test_without_it_no_event_mentions_it(plain):
    assert all(event.adapted is None for events in plain for event in events)


def test_no_utterances_or_no_strength_change_nothing(shipped, plain):
    _, segments = adapted_to(PriorCorrection(6, PriorConfig(strength=0.0)), shipped)
    assert [s.probs for s in segments] == [s.probs for s in plain[1]]
    assert [s.emotion for s in segments] == [s.emotion for s in plain[1]]


def test_the_model_adapts_from_recording_to_recording_until_it_is_reset(voice):
    model = edge.open_model(FLOAT32, vad="energy", adapt=True)
    first, second = (model.recognize(voice[: 3 * RATE], RATE) for _ in range(2))
    assert [r.segments[0].adapted for r in (first, second)] == [0, 1]
    assert first.probs != second.probs
    assert second.probs == pytest.approx(second.segments[0].probs, abs=1e-6)
    model.prior.reset()
    assert model.recognize(voice[: 3 * RATE], RATE) == first
    assert edge.open_model(FLOAT32, vad="energy").prior is None


def test_a_profile_and_adaptation_are_refused_together():
    with pytest.raises(InputError, match="me.json: .*not both"):
        edge.open_model(FLOAT32, profile="me.json", adapt=True)


def test_the_option_adds_one_field_and_is_off_by_default(voice, tmp_path):
    soundfile.write(tmp_path / "twice.wav", np.concatenate([voice, np.zeros(RATE, np.float32), voice]), RATE)
    written = []
    for name, options in (("without", ()), ("with", ("--adapt",))):
        log = tmp_path / f"{name}.jsonl"
        result = called(
            stream_infer.main,
            FLOAT32,
            tmp_path / "twice.wav",
            "--vad",
            "energy",
            "--log",
            log,
            "--log-decisions",
            *options,
        )
        assert result.returncode == 0, result.stderr
        events = [json.loads(line) for line in log.read_text().splitlines()]
        written.append([{k: v for k, v in event.items() if k != "time"} for event in events if "probs" in event])
    without, with_it = written
    assert all("adapted" not in event for event in without)
    assert all("adapted" in event for event in with_it)
    without, with_it = ([event for event in events if event["type"] == "segment"] for events in written)
    good = [line["verdict"] in (None, "uncertain") for line in without]
    assert [line.pop("adapted") for line in with_it] == [sum(good[:n]) for n in range(len(good))]
    assert sum(good) >= 2
    assert with_it[0] == without[0]
    assert [line.keys() for line in with_it] == [line.keys() for line in without]
    assert with_it[-1]["probs"] != without[-1]["probs"]


def test_a_table_is_refused_because_its_rows_would_depend_on_their_order(tmp_path, voice):
    soundfile.write(tmp_path / "a.wav", voice[:RATE], RATE)
    result = called(stream_infer.main, FLOAT32, tmp_path / "a.wav", "--csv", tmp_path / "t.csv", "--adapt")
    assert result.returncode == 2
    assert "--adapt" in result.stderr
    assert not (tmp_path / "t.csv").exists()
