"""Zeros and clipping: reported once when they begin and once when they end, for any block size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.audio.events import AudioEventKind
from edge.audio.signal_monitor import RateMonitor, SignalMonitor, usual_rate

RATE = 1000


def noise(seconds: float, channels: int = 1, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(0).uniform(-level, level, (round(seconds * RATE), channels)).astype(np.float32)


def kinds(frames: np.ndarray, block: int = 100) -> list[tuple[AudioEventKind, float]]:
    """Each event's kind, and the second by which it was reported."""
    watch = SignalMonitor(RATE, zeros_seconds=2.0, clip_share=0.01)
    reported = []
    for at in range(0, len(frames), block):
        reported += [(event.kind, (at + block) / RATE) for event in watch.update(frames[at : at + block])]
    return reported


@given(st.integers(1, 400), st.integers(1, 2))
def test_speech_level_noise_is_no_fault(block, channels):
    assert kinds(noise(5, channels, 0.9), block) == []


@pytest.mark.parametrize("value", [0.0, -1 / 32768], ids=["zero", "a constant"])
def test_a_constant_signal_is_reported_and_so_is_its_end(value):
    dead = np.full((5000, 2), value, dtype=np.float32)
    reported = kinds(np.concatenate([noise(1, 2), dead, noise(2, 2), dead[:1900], noise(1, 2)]))
    assert reported == [(AudioEventKind.ZEROS, 3.0), (AudioEventKind.RECOVERED, 6.1)]


def test_one_dead_channel_of_two_is_no_fault():
    frames = noise(5, 2)
    frames[:, 1] = 0
    assert kinds(frames) == []


@pytest.mark.parametrize("channels", [1, 2])
def test_clipping_of_one_channel_is_reported_and_so_is_its_end(channels):
    loud = noise(3, channels)
    loud[:, -1] = np.clip(40 * loud[:, -1], -1, 32767 / 32768)
    reported = kinds(np.concatenate([noise(2, channels), loud, noise(3, channels)]))
    assert reported == [(AudioEventKind.CLIPPED, 3.0), (AudioEventKind.RECOVERED, 6.0)]


@pytest.mark.parametrize("garbage", [1e20, np.inf, np.nan])
def test_garbage_from_a_driver_is_reported_and_so_is_its_end(garbage):
    frames = noise(6)
    frames[2500:2600] = garbage
    assert kinds(frames) == [(AudioEventKind.CLIPPED, 3.0), (AudioEventKind.RECOVERED, 4.0)]


def test_a_few_peaks_are_no_clipping():
    frames = noise(10)
    frames[::200] = 1.0
    assert kinds(frames) == []


def measured(rates: list[float], opened: int, block: int, jitter: float = 0.0) -> list[tuple[float, float]]:
    """A device that delivers each of `rates` for 20 s: when something was reported, s, and what."""
    rng, watch, now, reported = np.random.default_rng(0), RateMonitor(opened), 0.0, []
    for rate in rates:
        for _ in range(round(20 * rate / block)):
            now += block / rate
            wrong = watch.update(block, 1000 + now + rng.uniform(0, jitter))
            reported += [] if wrong is None else [(now, wrong)]
    return reported


@pytest.mark.parametrize("jitter", [0.0, 0.05])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_the_rate_that_a_device_was_opened_with_is_no_fault(rate, jitter):
    assert measured([rate, rate * 1.001, rate * 0.999], rate, rate // 10, jitter) == []


@pytest.mark.parametrize("jitter", [0.0, 0.05])
@pytest.mark.parametrize(("opened", "delivered"), [(48000, 16000), (16000, 48000), (48000, 44100), (44100, 48000)])
def test_another_rate_is_measured_within_ten_seconds(opened, delivered, jitter):
    (at, wrong), *_ = measured([delivered], opened, opened // 10, jitter)
    assert at < 10
    assert usual_rate(wrong) == delivered


def test_a_machine_that_was_busy_once_is_no_fault():
    watch, reported = RateMonitor(16000), []
    for number in range(400):
        late = 2.5 if 100 <= number < 125 else 0.0  # blocks that come together once the machine has time
        reported.append(watch.update(1600, max(number * 0.1, 12.5) if late else number * 0.1))
    assert set(reported) == {None}


def test_what_is_no_usual_rate_is_not_taken_for_one():
    assert usual_rate(40000.0) is None
    assert measured([40000], 48000, 4800)[0][1] == pytest.approx(40000, rel=0.01)


def test_an_empty_block_is_nothing():
    assert SignalMonitor(RATE, 1.0, 0.01).update(np.zeros((0, 2), dtype=np.float32)) == []
