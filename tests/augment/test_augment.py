"""Augmentation: what it does to the signal, that it repeats from its seed, and that it leaves no trace elsewhere."""

import random

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augment import noise
from augment.pipeline import AugmentConfig, WaveformAugment, spec_augment
from augment.spec_augment import SpecAugment
from augment.speed import SpeedPerturbation

RATE = 16000


def rms(x) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def speech(seconds: float = 2.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE))).astype(np.float32)


@pytest.fixture
def sounds(tmp_path):
    """Folders of noises and rooms, one of each to be held out."""
    rng = np.random.default_rng(1)
    for name in ("noise/rain/a.wav", "noise/rain/b.wav", "noise/dog/held.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, 0.2 * rng.standard_normal(3 * RATE), RATE)
    (tmp_path / "rir").mkdir()
    for name in ("small.wav", "hall.wav"):
        decay = np.exp(-np.arange(4000) / 500) * rng.standard_normal(4000)
        decay[0] = 5
        soundfile.write(tmp_path / "rir" / name, decay / 10, RATE)
    return tmp_path


def everything(folder, **changes) -> AugmentConfig:
    return AugmentConfig(
        noise_dir=str(folder / "noise"),
        room_dir=str(folder / "rir"),
        noise_exclude=("dog/*",),
        room_exclude=("hall*",),
        gain_p=1.0,
        room_p=1.0,
        noise_p=1.0,
        **changes,
    )


def test_the_chain_repeats_from_its_seed_and_leaves_the_global_generators_alone(sounds):
    chain, again = (WaveformAugment(everything(sounds), RATE) for _ in range(2))
    random.seed(5)
    np.random.seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist()
    first = chain(speech(), np.random.SeedSequence(7))
    chain(speech(), np.random.SeedSequence(8))
    assert np.array_equal(first, again(speech(), np.random.SeedSequence(7)))
    assert not np.array_equal(first, again(speech(), np.random.SeedSequence(9)))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1.0


@pytest.mark.parametrize("part", ["speed", "gain", "room", "noise"])
def test_each_part_is_a_switch_that_does_not_move_the_others(sounds, part):
    off = {name: name == part for name in ("speed", "gain", "room", "noise")}
    nothing = WaveformAugment(everything(sounds, speed=False, gain=False, room=False, noise=False), RATE)
    assert np.array_equal(nothing(speech(), np.random.SeedSequence(1)), speech())
    alone = WaveformAugment(everything(sounds, **off), RATE)
    seeds = [np.random.SeedSequence(s) for s in range(6)]
    assert any(not np.array_equal(alone(speech(), s), speech()) for s in seeds)


def test_noise_is_added_at_the_drawn_ratio(sounds):
    files = noise.audio_files(sounds / "noise", ("dog/*",), "noise")
    assert [f.parent.name for f in files] == ["rain", "rain"], "held-out noise is never trained on"
    for snr in (0.0, 10.0, 20.0):
        made = noise.background_noise(files, snr, snr, 1.0, RATE)(speech(), np.random.default_rng(0))
        assert 20 * np.log10(rms(speech()) / rms(made - speech())) == pytest.approx(snr, abs=0.1)


def test_gain_and_rooms_keep_what_they_promise(sounds):
    louder = noise.gain(6.0, 6.0, 1.0, RATE)(speech(), np.random.default_rng(0))
    assert 20 * np.log10(rms(louder) / rms(speech())) == pytest.approx(6.0, abs=0.01)
    room = noise.Room(noise.audio_files(sounds / "rir", ("hall*",), "room"), 1.0, RATE)
    reverberant = room(speech(), np.random.default_rng(0))
    assert reverberant.shape == speech().shape
    assert rms(reverberant) == pytest.approx(rms(speech()), rel=1e-4)
    assert not np.allclose(reverberant, speech())


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 2.0), st.integers(100, 20000))
def test_speed_changes_length_and_pitch_together(factor, n_samples):
    made = SpeedPerturbation((factor,))(np.zeros(n_samples, np.float32), np.random.default_rng(0))
    assert abs(len(made) - n_samples / factor) <= 1
    time = np.arange(RATE) / RATE
    fast = SpeedPerturbation((factor,))(np.sin(2 * np.pi * 400 * time).astype(np.float32), np.random.default_rng(0))
    peak = np.argmax(np.abs(np.fft.rfft(fast * np.hanning(len(fast))))) * RATE / len(fast)
    assert peak == pytest.approx(400 * factor, abs=3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 20), st.integers(0, 40), st.integers(0, 2**31 - 1))
def test_masks_are_no_wider_than_said_and_repeat(bands, frames, seed):
    x = torch.randn(3, 40, 100)
    masks = SpecAugment(bands, frames, n_freq_masks=1, n_time_masks=1)
    state = torch.random.get_rng_state()
    y = masks(x, seed)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(y, masks(x, seed))
    for before, after in zip(x, y, strict=True):
        masked = torch.isclose(after, before.mean(), atol=1e-5)
        full_bands, full_frames = masked.all(dim=1), masked.all(dim=0)
        assert full_bands.sum() <= max(bands, 0)
        assert full_frames.sum() <= max(frames, 0)
        assert torch.allclose(after[~full_bands][:, ~full_frames], before[~full_bands][:, ~full_frames], atol=1e-5)


def test_masks_differ_between_clips():
    y = SpecAugment(10, 30)(torch.randn(1, 40, 100).expand(2, -1, -1), seed=3)
    assert not torch.equal(y[0], y[1])


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: AugmentConfig(noise_p=1.5), "noise_p is 1.5"),
        (lambda: AugmentConfig(min_snr_db=30, max_snr_db=5), "min_snr_db"),
        (lambda: SpeedPerturbation((3.0,)), "between 0.5 and 2"),
        (lambda: SpecAugment(-1, 5), "freq_mask_param is -1"),
        (lambda: noise.gain(5, -5, 1.0, RATE), "above max_db"),
    ],
)
def test_ranges_are_checked_by_name(make, part):
    with pytest.raises(ValueError, match=part):
        make()


def test_missing_recordings_say_how_to_go_on(tmp_path):
    with pytest.raises(FileNotFoundError, match="--augment.noise false"):
        noise.audio_files(tmp_path, (), "noise")


def test_masks_can_be_switched_off():
    assert spec_augment(AugmentConfig(spec=False)) is None
