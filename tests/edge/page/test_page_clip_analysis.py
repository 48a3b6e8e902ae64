"""The page shows the results of the device loop, and occlusion finds the parts that an answer depends on."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn.config import FeatureConfig, ModelConfig, StreamGeometry, WindowConfig
from edge import runtimes
from edge.audio.vad import make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.loop.utterances import UtteranceRecognizer
from edge.page import clip_analysis
from edge.page import html as words
from edge.page.clip_analysis import analyze
from edge.page.occlusion import Decisions, support
from edge.page.recognize import Recognizer
from edge.page.upload import UploadLimits
from edge.stream.decision import DecisionConfig
from edge.stream.results import Segment, StreamResult

CLIP = PRETRAINED.parent / "synthetic_voice.flac"
VOICE = soundfile.read(CLIP, dtype="float32")[0]
RATE = 16000
SHIPPED = Bundle.open(PRETRAINED).recognizer()


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_a_clip_gives_the_results_of_the_device_loop(name):
    recognizer = Bundle.open(PRETRAINED.parent / name).recognizer()
    recognizer.push(VOICE[:RATE])  # its own stream does not matter
    analysis = analyze(recognizer, VOICE)
    recognizer.reset()
    loop = UtteranceRecognizer(recognizer, make_vad("energy", RATE))
    results = [*loop.push(VOICE), *loop.flush()]
    assert [e.segment for e in analysis.segments] == [r for r in results if isinstance(r, Segment)]
    assert len(analysis.segments) >= 3
    decisions = [r for r in results if isinstance(r, StreamResult)]
    assert [(h.seconds, h.emotion, h.confidence) for h in analysis.results] == [
        (h.seconds, h.emotion, h.confidence) for h in decisions
    ]
    for explained in analysis.segments:
        ends = [s.end_seconds for s in explained.support]
        assert [s.start_seconds for s in explained.support[1:]] == pytest.approx(ends[:-1])


def test_uploads_load_no_model_and_share_no_state(monkeypatch, tmp_path):
    recognizers = {name: Bundle.open(PRETRAINED.parent / name).recognizer() for name in ("int8", "float32")}
    page = Recognizer(recognizers, "energy", UploadLimits(), tmp_path)

    async def upload(path, models):
        async def body():
            yield path.read_bytes()

        return await page.recognize(models, body())

    async def together(*uploads):
        return await asyncio.gather(*(upload(*one) for one in uploads))

    monkeypatch.setattr(runtimes, "load", lambda *_: pytest.fail("an upload loads a model"))
    part = tmp_path / "part.wav"
    soundfile.write(part, VOICE[: 5 * RATE], RATE)
    wanted = ((CLIP, "0,1"), (part, "0"), (CLIP, "0"))
    alone = [asyncio.run(upload(*one)) for one in wanted]
    assert asyncio.run(together(*wanted)) == alone
    assert alone[0][0] == alone[2][0] != alone[1][0]


@given(st.integers(0, len(VOICE)), st.integers(0, 50000))
@settings(max_examples=12, deadline=None)
def test_any_piece_of_a_clip_can_be_analyzed(start, length):
    analysis = analyze(SHIPPED, VOICE[start : start + length])
    for explained in analysis.segments:
        assert bool(explained.support) == bool(explained.segment.probs)
        for stretch in explained.support:
            assert 0 <= stretch.start_seconds < stretch.end_seconds <= analysis.seconds
            assert np.isfinite(stretch.support)


def test_what_is_explained_is_the_segment_that_is_shown(monkeypatch):
    """Also of a monologue, which is split into segments: each is explained by its own decisions."""
    asked = []

    def noted(decisions, steps, first, begun, end):
        deciding = range(max(first, decisions.window_intervals - 1), len(steps))
        asked.append(decisions.probs(np.stack([decisions.logits(steps, decision) for decision in deciding])))
        return support(decisions, steps, first, begun, end)

    monkeypatch.setattr(clip_analysis, "support", noted)
    monologue = np.tile(VOICE[int(3.5 * RATE) : int(6.5 * RATE)], 12)
    for samples, parts in ((VOICE, 3), (monologue, 3)):
        asked.clear()
        segments = [e.segment for e in analyze(SHIPPED, samples).segments]
        assert len(asked) == len(segments) == parts
        for probs, segment in zip(asked, segments, strict=True):
            assert list(probs) == pytest.approx(list(segment.probs.values()), abs=1e-6)


class MeanHead:
    """Logits of a window: the mean of its steps, which is known in closed form. The third value is no class."""

    contract = None

    def run(self, x):
        return x.mean(axis=1)


def test_occlusion_finds_the_steps_that_change_the_answer():
    features, window = FeatureConfig(), WindowConfig()
    g = StreamGeometry.resolve(features, ModelConfig(), window)
    recognizer = SimpleNamespace(
        geometry=g, features=features, labels=("calm", "angry"), decision=DecisionConfig(temperature=0.5)
    )
    decisions = Decisions(MeanHead(), recognizer, np.zeros((g.interval_steps, 3), np.float32))
    steps = np.zeros((g.window_intervals + 4, g.interval_steps, 3), np.float32)
    steps[6, :, 1] = 40.0  # evidence for angry, in every decision
    steps[8, :, 0] = 4.0  # evidence for calm
    found = support(decisions, steps, 0, 2.0, 100.0)
    assert len(found) == len(steps)
    values = np.array([s.support for s in found])
    assert values.argmax() == 6
    assert values.argmin() == 8
    assert np.abs(np.delete(values, [6, 8])).max() < 1e-6

    def log_p(for_angry, for_calm):
        return -np.log1p(np.exp((for_calm - for_angry) / g.window_intervals / 0.5))

    assert values[6] == pytest.approx(log_p(40, 4) - log_p(0, 4), abs=1e-4)
    assert values[8] == pytest.approx(log_p(40, 4) - log_p(40, 0), abs=1e-4)
    assert found[0].start_seconds == 2.0
    assert found[2].start_seconds - found[1].start_seconds == pytest.approx(g.interval_samples / RATE)


def test_only_decisions_of_the_segment_count():
    features = FeatureConfig()
    g = StreamGeometry.resolve(features, ModelConfig(), WindowConfig())
    recognizer = SimpleNamespace(geometry=g, features=features, labels=("a", "b"), decision=DecisionConfig())
    decisions = Decisions(MeanHead(), recognizer, np.zeros((g.interval_steps, 2), np.float32))
    steps = np.random.default_rng(0).normal(size=(g.window_intervals + 20, g.interval_steps, 2)).astype(np.float32)
    found = support(decisions, steps, len(steps) - 2, 0.0, 100.0)
    assert len(found) == g.window_intervals + 1, "the windows of two decisions cover so many"


def test_hostile_names_stay_text():
    label = "<img src=x onerror=alert(1)>${x}{{y}}"
    segment = Segment(0.0, 1.0, label, None, 0.9, {label: 0.9})
    shown = words.segment_row(segment, DecisionConfig(), None)
    for live in ("<img", "${", "{{"):
        assert live not in shown
        assert live not in words.error(label)


def test_every_abstention_has_its_reason():
    loud = np.clip(VOICE * 50, -1, 1)
    reasons = {"Less than 0.5 s": VOICE, "full scale": loud, "detected no voice": np.zeros(RATE, np.float32)}
    for reason, samples in reasons.items():
        analysis = analyze(SHIPPED, samples)
        rows = [words.segment_row(e.segment, analysis.decision, analysis.settings) for e in analysis.segments]
        assert any(reason in row for row in rows), reason
