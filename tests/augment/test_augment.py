"""Augmentation: effect on the signal, reproducibility from the seed, no effect on global state."""

import random
import shutil

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import RATE, chance, rms, speech

from augment import noise
from augment.config import AugmentConfig
from augment.level import Gain, SteadyNoise, StyleMix
from augment.microphone import Microphone
from augment.mix import Mixup
from augment.padding import Padding, trim
from augment.pipeline import CopyAugment, batch_augment, chains
from augment.spec_augment import SpecAugment
from augment.speed import SpeedPerturbation


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


MIN_SAMPLES = 3 * RATE


def everything(folder, **changes) -> AugmentConfig:
    return AugmentConfig(
        noise_dir=str(folder / "noise"),
        room_dir=str(folder / "rir"),
        noise_exclude=("dog/*",),
        room_exclude=("hall*",),
        **({"room_p": 1.0, "noise_p": 1.0, "microphone_p": 1.0} | changes),
    )


def test_the_chain_repeats_from_its_seed_and_leaves_the_global_generators_alone(sounds):
    chain, again = (CopyAugment(everything(sounds), RATE, MIN_SAMPLES) for _ in range(2))
    random.seed(5)
    np.random.seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist()
    first = chain(speech(), np.random.SeedSequence(7))
    chain(speech(), np.random.SeedSequence(8))
    assert np.array_equal(first, again(speech(), np.random.SeedSequence(7)))
    other = again(speech(), np.random.SeedSequence(9))
    assert len(first) != len(other) or not np.array_equal(first, other)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1.0
    assert len(first) >= MIN_SAMPLES


PARTS = ("denoise", "speed", "padding", "room", "noise", "microphone")


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_a_switch(sounds, part):
    long = speech(3.0)
    nothing = CopyAugment(everything(sounds, **dict.fromkeys(PARTS, False)), RATE, MIN_SAMPLES)
    assert np.array_equal(nothing(long, np.random.SeedSequence(1)), long)
    alone = CopyAugment(everything(sounds, **{name: name == part for name in PARTS}), RATE, MIN_SAMPLES)
    made = [alone(long, np.random.SeedSequence(s)) for s in range(6)]
    assert any(len(x) != len(long) or not np.array_equal(x, long) for x in made)


@pytest.mark.parametrize("part", ["denoise"])
def test_a_new_part_leaves_what_the_others_draw_as_it_was(sounds, part):
    without = CopyAugment(everything(sounds), RATE, MIN_SAMPLES)
    never = CopyAugment(everything(sounds, **{part: True, f"{part}_p": 0.0}), RATE, MIN_SAMPLES)
    for seed in range(3):
        made = [chain(speech(), np.random.SeedSequence(seed)) for chain in (without, never)]
        assert np.array_equal(*made)


def test_padding_leaves_the_speech_and_replaces_the_silence_around_it():
    time = np.arange(RATE) / RATE
    word = (0.2 * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
    silence = np.zeros(RATE, np.float32)
    clip = np.concatenate([silence, word, silence, silence])
    assert len(trim(clip, RATE)) == pytest.approx(1.2 * RATE, abs=0.05 * RATE), "a margin of 0.1 s stays"
    starts = []
    for seed in range(8):
        made = Padding(3 * RATE, RATE, -60, -60)(clip, np.random.default_rng(seed))
        assert len(made) == 3 * RATE
        speaking = np.flatnonzero(np.abs(made) > 0.1)
        starts.append(speaking[0])
        assert speaking[-1] - speaking[0] == pytest.approx(RATE, abs=100)
        background = np.delete(made, np.arange(max(speaking[0] - 2000, 0), speaking[-1] + 2000))
        assert 20 * np.log10(rms(background) / rms(trim(clip, RATE))) == pytest.approx(-60, abs=6)
    assert max(starts) - min(starts) > RATE / 2
    assert len(trim(silence, RATE)) == len(silence)


def test_noise_is_added_at_the_drawn_ratio(sounds):
    files = noise.audio_files(sounds / "noise", ("dog/*",), "noise")
    assert [f.parent.name for f in files] == ["rain", "rain"], "held-out noise is never trained on"
    for snr in (0.0, 10.0, 20.0):
        made = noise.background_noise(files, snr, snr, 1.0, RATE)(speech(), np.random.default_rng(0))
        assert 20 * np.log10(rms(speech()) / rms(made - speech())) == pytest.approx(snr, abs=0.1)


def test_rooms_and_microphones_keep_the_level(sounds):
    for seed in range(5):
        changed = Microphone(1.0, RATE)(speech(), np.random.default_rng(seed))
        assert changed.shape == speech().shape
        assert rms(changed) == pytest.approx(rms(speech()), rel=1e-3)
        assert not np.allclose(changed, speech())
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
    y = masks(x, chance(seed))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(y, masks(x, chance(seed)))
    for before, after in zip(x, y, strict=True):
        masked = torch.isclose(after, before.mean(), atol=1e-5)
        full_bands, full_frames = masked.all(dim=1), masked.all(dim=0)
        assert full_bands.sum() <= max(bands, 0)
        assert full_frames.sum() <= max(frames, 0)
        assert torch.allclose(after[~full_bands][:, ~full_frames], before[~full_bands][:, ~full_frames], atol=1e-5)


def test_masks_differ_between_clips():
    y = SpecAugment(10, 30)(torch.randn(1, 40, 100).expand(2, -1, -1), chance(3))
    assert not torch.equal(y[0], y[1])


def test_mixup_blends_clips_and_targets_alike_and_the_clip_itself_weighs_most():
    targets = torch.eye(8)
    x = targets[:, :, None].expand(-1, -1, 5).clone()
    mixed, mixed_targets = Mixup(0.5, 1.0)(x, targets, chance(1))
    assert torch.allclose(mixed[:, :, 0], mixed_targets, atol=1e-6)
    assert torch.allclose(mixed_targets.sum(dim=1), torch.ones(8), atol=1e-6)
    assert (mixed_targets.diag() >= 0.5 - 1e-6).all()
    assert (mixed_targets.diag() < 0.999).any()
    untouched, _ = Mixup(0.5, 0.0)(x, targets, chance(1))
    assert torch.equal(untouched, x)


def test_the_batch_chain_repeats_from_its_seed_and_can_be_switched_off():
    x, targets = torch.randn(4, 64, 90), torch.eye(4)
    chain = batch_augment(AugmentConfig(), 1e-6, 0.0125)
    one, other = chain(x, targets, 5), chain(x, targets, 5)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], chain(x, targets, 6)[0])
    off = batch_augment(AugmentConfig(style=False, gain=False, mixup=False, spec=False), 1e-6, 0.0125)
    assert torch.equal(off(x, targets, 5)[0], x)


def test_mixup_works_wherever_the_batch_lies():
    made = Mixup(0.5, 1.0)(torch.empty(4, 64, 90, device="meta"), torch.empty(4, 5, device="meta"), chance(0))
    assert [tensor.device.type for tensor in made] == ["meta", "meta"]


def test_other_noise_makes_other_copies_and_another_place_does_not(sounds, tmp_path_factory):
    def settings_of(folder):
        return chains(everything(folder), RATE, MIN_SAMPLES, 1e-6, 200).copy_settings

    before = settings_of(sounds)
    moved = shutil.copytree(sounds, tmp_path_factory.mktemp("elsewhere") / "moved")
    assert settings_of(moved) == before
    shutil.copy(next((moved / "noise").rglob("*.wav")), moved / "noise" / "more.wav")
    assert settings_of(moved) != before
    off = everything(moved, noise=False)
    assert chains(off, RATE, MIN_SAMPLES, 1e-6, 200).copy_settings["noise_dir"] == []


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: AugmentConfig(noise_p=1.5), "noise_p.* 1.5"),
        (lambda: AugmentConfig(copies=0), "copies.* 0"),
        (lambda: AugmentConfig(min_snr_db=30, max_snr_db=5), "min_snr_db"),
        (lambda: SpeedPerturbation((3.0,)), "0.5.* 2"),
        (lambda: SpecAugment(-1, 5), "freq_mask_param.* -1"),
        (lambda: Gain(5, -5, 1e-6), "max_db"),
        (lambda: AugmentConfig(denoise_p=-0.1), "denoise_p.* -0.1"),
        (lambda: SteadyNoise(0.5, -5, -35), "max_db"),
        (lambda: SteadyNoise(1.5, -35, -5), "steady_noise.* 1.5"),
        (lambda: Mixup(0.0, 0.5), "alpha.* 0"),
        (lambda: StyleMix(0.5, 2.0), "strength.* 2"),
        (lambda: Padding(1, RATE, 5, -5), "max_background_db"),
    ],
)
def test_ranges_are_checked_by_name(make, part):
    with pytest.raises(ValueError, match=part):
        make()


def test_missing_recordings_say_how_to_go_on(tmp_path):
    with pytest.raises(FileNotFoundError, match="--augment.noise false"):
        noise.audio_files(tmp_path, (), "noise")


@pytest.mark.parametrize("what", ["noise", "room"])
def test_files_that_cannot_be_drawn_from_are_named_before_training(tmp_path, what, caplog):
    tone = np.sin(np.arange(RATE * 3) / 10).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "good.wav", tone, RATE)
    soundfile.write(tmp_path / "good.mp3", tone, RATE)
    (tmp_path / "._good.wav").write_bytes(b"\0\5\x16\7" + bytes(120))
    (tmp_path / "pointer.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    (tmp_path / "empty.flac").write_bytes(b"")
    (tmp_path / "text.ogg").write_text("no sound" * 50)
    (tmp_path / "cut.flac").write_bytes(b"fLaC\0\0")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "nan.wav", np.where(np.arange(len(tone)) == 9, np.nan, tone), RATE, subtype="FLOAT")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    files = noise.audio_files(tmp_path, (), what)
    assert [f.name for f in files] == ["good.mp3", "good.wav"]
    assert f"7 of 9 {what} files" in caplog.text
    for file in files:
        file.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{what}.*\._good.wav.*hidden"):
        noise.audio_files(tmp_path, (), what)


@pytest.mark.parametrize("what", ["noise", "room"])
@pytest.mark.parametrize("content", [b"", b"no sound", None])
def test_a_file_that_is_damaged_after_the_check_is_named_when_it_is_drawn(tmp_path, what, content):
    file = tmp_path / "was-good.wav"
    soundfile.write(file, np.full(RATE, 0.1), RATE, subtype="FLOAT")
    (found,) = noise.audio_files(tmp_path, (), what)
    transform = noise.background_noise([found], 0, 0, 1.0, RATE) if what == "noise" else noise.Room([found], 1.0, RATE)
    if content is None:
        soundfile.write(file, np.full(RATE, np.nan), RATE, subtype="FLOAT")
    else:
        file.write_bytes(content)
    with pytest.raises(OSError, match=r"was-good\.wav: "):
        transform(speech(), np.random.default_rng(0))
