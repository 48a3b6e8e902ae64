"""Each change of a waveform does what its name says, measured in another way than it is made."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.battery import perturbations as change

RATE = 16000
SEEDS = st.integers(0, 2**32 - 1)


@cache
def speech(seconds: float = 0.6, seed: int = 0) -> np.ndarray:
    """Noise with a falling spectrum in a slow envelope: as uneven in time and frequency as speech is."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    steps = np.fft.rfft(rng.standard_normal(n)) / (1 + np.fft.rfftfreq(n, 1 / RATE) / 300)
    wave = np.fft.irfft(steps, n) * (0.3 + np.sin(np.linspace(0, 9, n)) ** 2)
    made = (0.4 * wave / np.abs(wave).max()).astype(np.float32)
    made.flags.writeable = False  # as those of a cache
    return made


def decibels(signal: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(signal.astype(np.float64)))))


def spectrum_db(signal: np.ndarray, frequencies: tuple[float, ...]) -> np.ndarray:
    """Level in bands of 200 Hz around the frequencies, in dB."""
    power = np.square(np.abs(np.fft.rfft(signal.astype(np.float64))))
    bins = np.fft.rfftfreq(len(signal), 1 / RATE)
    return np.array([10 * np.log10(power[np.abs(bins - f) < 100].mean()) for f in frequencies])


SOUND = speech(0.3, seed=5)
SAME_LENGTH = {
    "tone": change.tone(RATE),
    "clip": change.clip_little,
    "gain": change.gain,
    "high-pass": change.first_order("highpass", change.HIGH_PASS_HZ, RATE),
    "low-pass": change.first_order("lowpass", change.LOW_PASS_HZ, RATE),
    "white noise": change.white_noise(20),
    "noise": change.noise([SOUND], 20),
    "once": change.once([SOUND], 10),
    "telephone": lambda waveform, rng: change.telephone(waveform, RATE),
    "room": change.room([np.exp(-np.arange(900) / 200)]),
    "tilt": change.tilt(-12),
}


@pytest.mark.parametrize("name", SAME_LENGTH)
@settings(max_examples=15)
@given(seed=SEEDS, n=st.integers(3200, 9000))
def test_length_type_and_the_given_clip_stay_and_the_seed_decides(name, seed, n):
    clip = speech()[:n]
    before = clip.copy()
    first, second = (SAME_LENGTH[name](clip, np.random.default_rng(seed)) for _ in range(2))
    assert first.shape == clip.shape
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)
    assert np.array_equal(clip, before)
    assert not np.array_equal(first, clip)


@settings(max_examples=15)
@given(seed=SEEDS)
def test_zeros_and_cuts_leave_the_other_samples_alone(seed):
    clip = speech()

    def rng() -> np.random.Generator:
        return np.random.default_rng(seed)

    longer, later = change.zeros_after(clip, rng()), change.zeros_before(clip, rng())
    added = len(longer) - len(clip)
    assert added in change.EDGE_SAMPLES
    assert np.array_equal(longer[: len(clip)], clip)
    assert np.array_equal(later[added:], clip)
    assert not longer[len(clip) :].any()
    assert not later[:added].any()
    assert np.array_equal(change.cut_begin(clip, rng()), clip[added:])
    assert np.array_equal(change.cut_end(clip, rng()), clip[:-added])


@settings(max_examples=15)
@given(seed=SEEDS, snr=st.floats(0, 60))
def test_a_mixture_has_the_ratio_that_it_should(seed, snr):
    clip, rng = speech(), np.random.default_rng(seed)
    for made in (change.white_noise(snr)(clip, rng), change.noise([SOUND], snr)(clip, rng)):
        assert decibels(clip) - decibels(made.astype(np.float64) - clip) == pytest.approx(snr, abs=0.1)


@settings(max_examples=15)
@given(seed=SEEDS)
def test_a_single_sound_occurs_once_whole_and_so_much_softer(seed):
    clip = speech()
    added = change.once([SOUND], 10)(clip, np.random.default_rng(seed)).astype(np.float64) - clip
    places = np.flatnonzero(np.abs(added) > 1e-7)
    assert places[-1] - places[0] < len(SOUND)
    assert decibels(clip) - decibels(added) - 10 * np.log10(len(clip) / len(SOUND)) == pytest.approx(10, abs=0.1)
    assert len(change.once([np.tile(SOUND, 20)], 10)(clip, np.random.default_rng(seed))) == len(clip)


@settings(max_examples=15)
@given(seed=SEEDS)
def test_a_tone_is_faint_and_high(seed):
    clip = speech()
    added = change.tone(RATE)(clip, np.random.default_rng(seed)).astype(np.float64) - clip
    frequency = np.abs(np.fft.rfft(added)).argmax() / len(added) * RATE
    assert 5000 - 1 <= frequency <= 7000 + 1
    snr = 20 * np.log10(np.abs(clip).max() / np.abs(added).max())
    assert min(abs(snr - wanted) for wanted in change.TONE_SNR_DB) < 0.1


@settings(max_examples=15)
@given(seed=SEEDS)
def test_so_many_samples_are_clipped(seed):
    clip = speech()
    made = change.clip_little(clip, np.random.default_rng(seed))
    share = np.mean(np.abs(made) == np.abs(made).max())
    assert min(abs(share - wanted) for wanted in change.CLIPPED_SHARES) < 2 / len(clip)
    assert np.array_equal(made[np.abs(made) < np.abs(made).max()], clip[np.abs(made) < np.abs(made).max()])


@settings(max_examples=15)
@given(seed=SEEDS)
def test_gain_is_one_or_two_decibels(seed):
    clip = speech()
    difference = decibels(change.gain(clip, np.random.default_rng(seed))) - decibels(clip)
    assert min(abs(difference - wanted) for wanted in change.GAINS_DB) < 1e-3


@pytest.mark.parametrize(
    ("kind", "frequencies", "lost_at", "left_at"),
    [("highpass", (100.0,), 100.0, 4000.0), ("lowpass", (3000.0,), 3000.0, 300.0)],
)
def test_a_first_order_filter_takes_three_decibels_at_its_frequency(kind, frequencies, lost_at, left_at):
    time = np.arange(4 * RATE) / RATE
    rng = np.random.default_rng(0)
    lost, left = (
        decibels(change.first_order(kind, frequencies, RATE)(sine, rng)[RATE:]) - decibels(sine)
        for sine in (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (lost_at, left_at))
    )
    assert lost == pytest.approx(-3.01, abs=0.1)
    assert left == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("wanted", [-12.0, 12.0])
def test_a_tilt_is_straight_and_keeps_the_level(wanted):
    clip = np.random.default_rng(0).standard_normal(10 * RATE).astype(np.float32) * np.float32(0.1)
    made = change.tilt(wanted)(clip, np.random.default_rng(0))
    at = (1000.0, 3000.0, 5000.0, 7000.0)
    steps = np.diff(spectrum_db(made, at) - spectrum_db(clip, at))
    assert steps == pytest.approx(np.full(3, wanted / 4), abs=0.4)
    assert decibels(made) == pytest.approx(decibels(clip), abs=0.01)


def test_a_tilt_delays_nothing():
    click = np.zeros(4000, dtype=np.float32)
    click[1500] = 0.5
    assert np.abs(change.tilt(-12)(click, np.random.default_rng(0))).argmax() == 1500


def test_a_telephone_passes_its_band_alone():
    clip = np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32) * np.float32(0.1)
    lost = spectrum_db(change.telephone(clip, RATE), (120.0, 1000.0, 2500.0, 5000.0)) - spectrum_db(
        clip, (120.0, 1000.0, 2500.0, 5000.0)
    )
    assert lost[0] < -20
    assert lost[1:3] == pytest.approx([0, 0], abs=1)
    assert lost[3] < -30
    assert change.telephone(clip[:33333], 22050).shape == (33333,)


@given(st.floats(-1, 1))
def test_mu_law_has_255_levels_and_errs_in_proportion(value):
    """ITU-T G.711: about 38 dB of signal to quantization noise over a wide range of levels."""
    coded = float(change.mu_law(np.array([value]))[0])
    assert coded == pytest.approx(value, abs=0.025 * abs(value) + 1e-4)
    assert float(change.mu_law(np.array([coded]))[0]) == pytest.approx(coded, abs=1e-9)


def test_mu_law_clips_and_has_so_many_levels():
    assert len(np.unique(change.mu_law(np.linspace(-2, 2, 400001)))) == 255
    assert np.abs(change.mu_law(np.linspace(-2, 2, 101))).max() == pytest.approx(1)


def test_a_room_answers_as_convolution_does():
    clip, response = speech(0.3), np.array([0.0, 2.0, 0.0, -1.0])
    wanted = np.convolve(clip, response / np.sqrt(5))[: len(clip)]
    assert np.abs(change.in_room(clip, response) - wanted).max() < 1e-6
