"""Three lines of Python: what a model and its answers say, and that they are the live loop's."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

import edge
from crnn.errors import InputError
from edge.audio.vad import make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.decision import decide, probabilities
from edge.stream.results import Segment, Verdict

FLOAT32 = PRETRAINED.parent / "float32"
CLIP = PRETRAINED.parent / "synthetic_voice.flac"
RATE = 16000


@pytest.fixture(scope="module")
def model():
    return edge.open_model(FLOAT32, vad="energy")  # the neural VAD does not always detect a synthetic voice


@pytest.fixture(scope="module")
def voice():
    return soundfile.read(CLIP, dtype="float32")[0]


def pushed(samples):
    """The live loop, driven by hand."""
    recognizer = Bundle.open(FLOAT32).recognizer()
    loop = UtteranceRecognizer(recognizer, make_vad("energy", RATE))
    return loop.push(samples) + loop.flush(), recognizer


def test_segments_are_those_of_the_live_loop(model, voice):
    events, _ = pushed(voice)
    assert model.recognize(CLIP).segments == tuple(event for event in events if isinstance(event, Segment))


def test_the_whole_is_the_mean_of_the_exact_logits_of_what_could_be_answered(model, voice):
    events, recognizer = pushed(voice)
    groups, group = [], []
    for event in events:
        if isinstance(event, Segment):
            groups.append((event.verdict, group))
            group = []
        elif event.logits is not None:
            group.append(event.logits)
    good = [logits for verdict, group in groups if verdict in (None, Verdict.UNCERTAIN) for logits in group]
    assert good
    probs = probabilities(np.mean(good, axis=0, dtype=np.float64), recognizer.decision.temperature)
    emotion, confidence = decide(probs, recognizer.labels, recognizer.decision)
    result = model.recognize(CLIP)
    assert list(result.probs.values()) == pytest.approx(probs.tolist(), abs=1e-6)
    assert result.confidence == pytest.approx(confidence, abs=1e-6)
    assert (result.emotion or "uncertain") == emotion
    assert result.seconds == pytest.approx(len(voice) / RATE, abs=1e-3)


def test_of_a_single_segment_the_whole_is_that_segment(model, voice):
    result = model.recognize(voice[: 3 * RATE], RATE)
    (segment,) = result.segments
    assert (result.emotion, result.verdict) == (segment.emotion, segment.verdict)
    assert result.probs == pytest.approx(segment.probs, abs=1e-6)


def test_a_recording_does_not_depend_on_the_one_before(model, voice, tmp_path):
    first = model.recognize(CLIP)
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(InputError):
        model.recognize(tmp_path / "text.wav")
    model.recognize(voice[: 2 * RATE], RATE)
    assert model.recognize(CLIP) == first


@settings(max_examples=20)
@given(kind=st.sampled_from(["float32", "float64", "int16", "int32"]), channels=st.integers(0, 3))
def test_every_kind_of_array_is_the_same_sound(model, voice, kind, channels):
    """16-bit steps, which all of them hold exactly."""
    steps = np.round(voice[: 3 * RATE] * 32767).astype(np.int16)
    reference = model.recognize(steps.astype(np.float32) / 32768, RATE)
    samples = {"int16": steps, "int32": steps.astype(np.int32) << 16}.get(kind)
    samples = (steps / 32768).astype(kind) if samples is None else samples
    if channels:
        samples = np.repeat(samples[:, None], channels, axis=1)
    result = model.recognize(samples, np.int64(RATE))
    assert result.probs == pytest.approx(reference.probs, abs=1e-4)


def test_an_array_of_another_rate_is_resampled(model, voice):
    """Each sample twice is no good resampler, but no other recording either."""
    result, reference = model.recognize(np.repeat(voice, 2), 2 * RATE), model.recognize(voice, RATE)
    assert result.seconds == pytest.approx(reference.seconds, abs=0.01)
    assert result.probs == pytest.approx(reference.probs, abs=0.2)


def test_silence_and_a_click_are_not_answered(model):
    result = model.recognize(np.zeros(2 * RATE, np.float32), RATE)
    assert (result.emotion, result.verdict, result.confidence, result.probs) == (None, Verdict.NO_SPEECH, 0.0, {})
    assert repr(result) == "Recognition(emotion=None, verdict='no speech', confidence=0.00, seconds=2.00, segments=1)"


@pytest.mark.parametrize(
    ("samples", "rate", "part"),
    [
        (np.zeros(100, np.float32), None, "rate"),
        (np.zeros(100, np.float32), "16000", "sample_rate .*'16000'"),
        (np.zeros(100, np.float32), 16000.5, "sample_rate .*16000.5"),
        (np.zeros(100, np.float32), 100, "100 Hz"),
        (np.zeros(0, np.float32), RATE, "none"),
        (np.zeros((10, 2, 2), np.float32), RATE, "shape"),
        (np.zeros((2, 16000), np.float32), RATE, "channels"),
        (np.full(100, np.nan), RATE, "NaN"),
        (np.full(100, 20000.0), RATE, r"20000.* \[-1, 1\]"),
        (np.zeros(100, np.uint8), RATE, "uint8"),
        (np.zeros(100, np.complex64), RATE, "complex64"),
        (np.zeros(100, bool), RATE, "bool"),
        ("none.wav", None, "none.wav: no such file"),
        (CLIP, RATE, "rate"),
    ],
)
def test_what_is_no_recording_is_one_clear_line(model, samples, rate, part):
    with pytest.raises(InputError, match=part):
        model.recognize(samples, rate)


def test_a_model_says_what_it_is(model):
    assert (model.sample_rate, model.scheme, model.runtime) == (RATE, "float32", "onnx")
    assert model.interval_seconds == 0.25
    for part in ("float32", "neutral, happy, sad, angry, fearful, disgust", "16000 Hz", "every 0.25 s", "onnx"):
        assert part in repr(model)


def test_the_names_are_found_and_others_are_not():
    assert edge.EmotionModel.__name__ == "EmotionModel"
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = edge.no_such_name


def test_importing_is_cheap():
    """No torch, no runtime and no reader before a model is opened; `import edge` alone brings not even NumPy."""
    code = (
        "import sys, edge\n"
        "assert 'numpy' not in sys.modules\n"
        "from edge import open_model\n"
        "heavy = {'torch', 'onnxruntime', 'soundfile', 'soxr', 'lightning'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
