"""Which channels of a device are used: inversion is found, a chosen channel is used, arrays give their first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.audio.channels import Channels
from edge.audio.events import AudioEvent, AudioEventKind

RATE = 16000


def voice(seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    syllables = np.sin(2 * np.pi * 3 * time) ** 2
    noise = 1e-4 * np.random.default_rng(seed).standard_normal(len(time))
    return (level * syllables * np.sin(2 * np.pi * (150 + 40 * np.sin(3 * time)) * time) + noise).astype(np.float32)


def used(channels: Channels, frames: np.ndarray, block: int = 1600) -> tuple[np.ndarray, list[AudioEvent]]:
    """What goes to the resampler, which takes the mean, and everything that is reported."""
    parts, reported = [], []
    for at in range(0, len(frames), block):
        part, events = channels(frames[at : at + block])
        parts.append(part.mean(axis=1))
        reported += events
    return np.concatenate(parts), reported


@given(st.integers(100, 5000), st.floats(0.5, 2.0), st.floats(0.0, 0.2), st.floats(-0.3, 0.3))
def test_an_inverted_channel_is_reported_once_and_the_other_is_used(block, gain, noisy, offset):
    left = voice(3.0)
    noise = 0.01 * noisy * np.random.default_rng(1).standard_normal(len(left))
    frames = np.stack([left, -gain * left + noise + offset], axis=1).astype(np.float32)
    sound, reported = used(Channels(2, RATE), frames, block)
    assert [event.kind for event in reported] == [AudioEventKind.CHANNEL]
    assert "inverted" in reported[0].message
    assert "--channel" in reported[0].message
    assert np.array_equal(sound[RATE:], left[RATE:])


@pytest.mark.parametrize(
    "right",
    [
        voice(3.0),
        np.roll(voice(3.0), 8),
        voice(3.0, seed=1),
        0.1 * np.random.default_rng(2).standard_normal(3 * RATE),
        np.zeros(3 * RATE),
        -0.005 * voice(3.0),
        np.full(3 * RATE, np.nan),
        np.full(3 * RATE, 1e30),
    ],
    ids=["the same", "0.5 ms later", "its noise differs", "noise", "dead", "faint crosstalk", "NaN", "garbage"],
)
def test_two_channels_that_do_not_cancel_are_averaged(right):
    frames = np.stack([voice(3.0), right], axis=1).astype(np.float32)
    sound, reported = used(Channels(2, RATE), frames)
    assert reported == []
    assert np.array_equal(sound, frames.mean(axis=1), equal_nan=True)


def test_inverted_noise_of_a_silent_line_is_no_evidence():
    noise = 3e-4 * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    assert used(Channels(2, RATE), np.stack([noise, -noise], axis=1))[1] == []


@given(st.integers(1, 8), st.data())
def test_the_chosen_channel_is_used_and_no_other(count, data):
    chosen = data.draw(st.integers(1, count))
    frames = np.random.default_rng(count).uniform(-1, 1, (RATE, count)).astype(np.float32)
    frames[:, 0] = -frames[:, -1]
    sound, reported = used(Channels(count, RATE, chosen), frames)
    assert reported == []
    assert np.array_equal(sound, frames[:, chosen - 1])


@pytest.mark.parametrize("chosen", [0, 3])
def test_a_channel_that_is_not_there_is_refused(chosen):
    with pytest.raises(ValueError, match=f"channel {chosen} of 2"):
        Channels(2, RATE, chosen)


@pytest.mark.parametrize("count", [3, 4, 6, 8])
def test_of_an_array_the_first_channel_with_a_signal_is_used(count):
    frames = np.full((3 * RATE, count), -1 / 32768, dtype=np.float32)
    frames[:, count - 2] = voice(3.0)
    frames[RATE:, count - 1] = voice(2.0)
    sound, reported = used(Channels(count, RATE), frames)
    assert [event.message for event in reported] == [
        f"channel {count - 1} of {count} is used: those before it give no signal"
    ]
    assert np.array_equal(sound, frames[:, count - 2])
    frames[:, 0] = voice(3.0, seed=3)
    sound, reported = used(Channels(count, RATE), frames)
    assert reported == []
    assert np.array_equal(sound, frames[:, 0])


def test_the_first_channel_is_used_as_soon_as_it_has_a_signal():
    """A processed channel may be digital silence until somebody speaks."""
    frames = np.stack([np.zeros(2 * RATE), voice(2.0, seed=1), voice(2.0, seed=2)], axis=1).astype(np.float32)
    frames[RATE:, 0] = voice(1.0)
    sound, reported = used(Channels(3, RATE), frames)
    assert [event.kind for event in reported] == [AudioEventKind.CHANNEL] * 2
    assert np.array_equal(sound[: RATE // 2], frames[: RATE // 2, 1])
    assert np.array_equal(sound[RATE:], frames[RATE:, 0])
