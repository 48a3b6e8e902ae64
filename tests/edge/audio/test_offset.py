"""A constant offset changes no answer: features, readers, the exact stream, VADs, levels and the whole loop."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from crnn.config import FeatureConfig
from crnn.data.audio import read_audio
from crnn.data.cache import require_usable
from crnn.errors import InputError
from crnn.features import LogMel
from crnn.offset import median, pad_clip, rest_level
from crnn.run_config import RunConfig
from crnn.synthetic import synthesize
from edge.audio.silero_vad import model_file
from edge.audio.sources import StreamResampler, from_file
from edge.audio.vad import make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.results import Segment

RATE = 16000
OFFSETS = [0.002, 0.01, 0.02, 0.1, -0.1, 0.5]
G = RunConfig().geometry


@pytest.fixture(scope="module")
def recognizer():
    return Bundle.open(PRETRAINED.with_name("float32")).recognizer("onnx")


def speech(seed: int = 0) -> np.ndarray:
    """A voice that begins and ends inside a word, over a faint room."""
    clip = synthesize("angry", 2, 3.0, np.random.default_rng(seed))[RATE // 2 : -RATE // 2]
    return (clip + 1e-3 * np.random.default_rng(seed).standard_normal(len(clip))).astype(np.float32)


def off(samples: np.ndarray, offset: float) -> np.ndarray:
    return (samples + np.float32(offset)).astype(np.float32)


def decisions(recognizer, samples: np.ndarray, chunk: int = 1600) -> np.ndarray:
    recognizer.reset()
    results = [r for at in range(0, len(samples), chunk) for r in recognizer.push(samples[at : at + chunk])]
    return np.stack([r.logits for r in results + recognizer.flush() if r.logits is not None])


def segments(recognizer, samples: np.ndarray, vad: str) -> list[Segment]:
    loop = UtteranceRecognizer(recognizer, make_vad(vad, RATE))
    events = [t for at in range(0, len(samples), 1600) for t in loop.push(samples[at : at + 1600])]
    return [t for t in events + loop.flush() if isinstance(t, Segment)]


def alike(found: list[Segment], expected: list[Segment]) -> None:
    assert [(s.emotion, s.verdict) for s in found] == [(s.emotion, s.verdict) for s in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.start_seconds, one.end_seconds) == (other.start_seconds, other.end_seconds)
        assert one.probs == pytest.approx(other.probs, abs=1e-3)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=200))
def test_the_median_is_numpys_bit_for_bit(values):
    samples = np.array(values, dtype=np.float32)
    assert median(samples) == np.median(samples)
    assert samples.tolist() == values, "not sorted in place"


@given(st.lists(st.floats(-1, 1, width=32), max_size=200), st.sampled_from(OFFSETS), st.integers(0, 50))
def test_the_rest_level_moves_with_an_offset_and_not_with_silence_at_that_level(values, offset, silent):
    samples = np.array(values, dtype=np.float32)
    level = rest_level(samples)
    if values:
        assert rest_level(off(samples, offset)) == pytest.approx(level + offset, abs=1e-6)
    assert rest_level(np.append(samples, np.full(silent, level))) == pytest.approx(level, abs=1e-7)
    assert rest_level(np.zeros(silent, dtype=np.float32)) == 0


@pytest.mark.parametrize("offset", OFFSETS)
def test_features_of_a_padded_clip_do_not_depend_on_an_offset(offset):
    log_mel, clip = LogMel(FeatureConfig()), speech()
    given = log_mel(pad_clip(off(clip, offset), G))
    assert np.abs(given - log_mel(pad_clip(clip, G))).max() < 1e-4
    assert np.abs(given[:, : G.lead_frames - 4] - np.log(1e-6)).max() < 1e-4, "the lead is silence"


def test_features_that_depend_on_an_offset_are_refused():
    with pytest.raises(InputError, match=r"f_min .*10\.0.* 20 Hz"):
        RunConfig(features=FeatureConfig(f_min=10.0))


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("chunk", [160, 1600, 10**9])
def test_the_exact_stream_does_not_depend_on_an_offset(recognizer, offset, chunk):
    clip = speech()
    expected = decisions(recognizer, clip)
    assert np.abs(decisions(recognizer, off(clip, offset), chunk) - expected).max() < 1e-3
    short = clip[:300]  # less than a frame
    assert np.abs(decisions(recognizer, off(short, offset), chunk) - decisions(recognizer, short)).max() < 1e-3


def test_the_level_of_an_interval_is_that_of_the_sound(recognizer):
    recognizer.reset()
    quiet = (1e-3 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
    levels = [r.level_dbfs for r in recognizer.push(off(quiet, 0.1))]
    assert levels == pytest.approx([-60.0] * len(levels), abs=0.5)


@pytest.mark.parametrize("vad", ["energy", "silero"])
@pytest.mark.parametrize("offset", OFFSETS[:-1])
def test_the_loop_answers_as_without_an_offset(recognizer, vad, offset):
    if vad == "silero" and model_file() is None:
        pytest.skip("needs the vad extra: make test EXTRAS=vad")
    room = (1e-3 * np.random.default_rng(1).standard_normal(2 * RATE)).astype(np.float32)
    audio = np.concatenate([speech(1), room, 0.5 * speech(2), room])
    expected = segments(recognizer, audio, vad)
    assert any(s.probs for s in expected)
    alike(segments(recognizer, off(audio, offset), vad), expected)


def test_after_an_offset_has_appeared_or_settled_in_the_pause_the_answers_are_the_same(recognizer):
    room = (1e-4 * np.random.default_rng(1).standard_normal(6 * RATE)).astype(np.float32)
    audio = np.concatenate([room, speech(1), room, speech(2), room])
    expected = [s for s in segments(recognizer, audio, "energy") if s.emotion]
    assert len(expected) == 2
    time = np.arange(len(audio)) / RATE
    for changing in (np.where(time > 2, 0.05, 0), 0.1 * np.exp(-time / 0.3), -0.1 * np.exp(-time)):
        found = segments(recognizer, (audio + changing).astype(np.float32), "energy")
        alike([s for s in found if s.start_seconds > 3], expected)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("offset", OFFSETS[:-1])
def test_readers_make_no_click_of_an_offset(tmp_path, rate, offset):
    """Training's reader and the device's, to the first and the last sample, for any chunk."""
    time = np.arange(round(0.7 * rate)) / rate
    sound = (0.2 * np.sin(2 * np.pi * 300 * time) * np.sin(np.pi * time / 0.7)).astype(np.float32)
    for name, samples in (("still", sound), ("off", off(sound, offset))):
        soundfile.write(tmp_path / f"{name}.wav", samples, rate, subtype="FLOAT")
    still, moved = (read_audio(tmp_path / f"{name}.wav", RATE) for name in ("still", "off"))
    assert np.abs(moved - offset - still).max() < 1e-4
    given = np.concatenate(list(from_file(tmp_path / "off.wav", RATE)))
    assert given == pytest.approx(moved, abs=1e-5)
    resample, pieces = StreamResampler(rate, RATE), np.array_split(off(sound, offset)[:, None], 97)
    parts = [resample(piece, last=number == 96) for number, piece in enumerate(pieces)]
    assert np.concatenate(parts) == pytest.approx(moved, abs=1e-5)


def test_a_resampler_that_ends_at_once_loses_nothing():
    resample = StreamResampler(48000, RATE)
    assert len(resample(np.full((600, 1), 0.1, dtype=np.float32))) == 0
    assert resample(np.zeros((0, 1), dtype=np.float32), last=True) == pytest.approx(np.full(200, 0.1), abs=1e-5)
    assert len(StreamResampler(48000, RATE)(np.zeros((0, 1), dtype=np.float32), last=True)) == 0


def test_a_constant_is_as_silent_as_zeros(tmp_path):
    with pytest.raises(InputError, match=r"a\.wav: silent"):
        require_usable(tmp_path / "a.wav", np.full(RATE, 0.1, dtype=np.float32), RATE)
