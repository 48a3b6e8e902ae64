"""Late reverberation on features is what a room does to the sound."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from sounds import RATE, chance, speech

from augment.config import AugmentConfig
from augment.pipeline import batch_augment
from augment.reverberation import Reverberation, with_tail
from crnn.config import FeatureConfig
from crnn.features import LogMel

FRAME = 0.0125
DB = 10 / math.log(10)


def room(*, p=1.0, seconds=(0.5, 0.5), direct=(0.0, 0.0)) -> Reverberation:
    return Reverberation(p, *seconds, *direct, FRAME)


def click(n: int = 200, frames: int = 400) -> torch.Tensor:
    """One loud frame in near silence."""
    made = torch.full((n, 80, frames), -60.0)
    made[:, :, 10] = 0.0
    return made


def test_the_tail_has_the_drawn_power_and_falls_by_60_db_in_the_drawn_time():
    made = DB * room(seconds=(0.5, 0.5), direct=(6.0, 6.0))(click(), chance())
    tail = 10 ** (made[:, :, 11:] / 10)
    assert torch.allclose(10 * tail.sum(dim=2).log10(), torch.tensor(-6.0), atol=0.02)
    fallen = made[:, 0, 11] - made[:, 0, 11 + round(0.5 / FRAME)]
    assert torch.allclose(fallen, torch.tensor(60.0), atol=0.01), "lowest band: the whole time"
    share = 60 / ((made[:, 79, 11] - made[:, 79, 21]) * 0.5 / (10 * FRAME))
    assert Reverberation.HIGHEST <= share.min() < 0.45 < 0.95 < share.max() <= 1.001
    assert torch.allclose(made[:, :, 10], torch.tensor(0.0), atol=1e-5), "the direct sound stays"
    assert torch.allclose(made[:, :, :10], torch.tensor(-60 * DB), atol=1.0), (
        "nothing before it but the floor's own tail"
    )


def test_times_and_distances_are_drawn_over_their_ranges():
    made = DB * room(p=0.5, seconds=(0.15, 2.0), direct=(-8.0, 15.0))(click(2000, 60), chance())
    with_room = made[:, 0, 11] > -200
    assert with_room.float().mean() == pytest.approx(0.5, abs=0.04)
    seconds = 60 * 20 * FRAME / (made[with_room, 0, 11] - made[with_room, 0, 31])
    assert 0.1499 < seconds.min() < 0.16 < 1.9 < seconds.max() < 2.001
    assert seconds.log().median().exp() == pytest.approx(math.sqrt(0.15 * 2.0), rel=0.1)
    untouched = click(2000, 60) * DB
    assert torch.equal(room(p=0.0)(click(5), chance()), click(5))
    assert torch.equal(made[~with_room], untouched[~with_room])


def test_it_is_what_an_impulse_response_of_such_a_room_does_to_a_recording():
    """The diffuse tail of noise that decays, by convolution of the waveform: Polack's model of a room."""
    seconds, drr_db, config = 0.6, 0.0, FeatureConfig()
    rng, hop = np.random.default_rng(0), config.hop_length
    time = np.arange(RATE) / RATE
    tail = rng.standard_normal(RATE) * 10 ** (-3 * time / seconds) * (time >= hop / RATE)
    tail *= np.sqrt(10 ** (-drr_db / 10) / np.square(tail).sum())
    tail[0] = 1.0
    dry = speech(3.0) * (np.sin(2 * np.pi * 1.3 * np.arange(3 * RATE) / RATE) > 0)  # bursts, whose ends show the tail
    wet = fftconvolve(dry, tail)[: len(dry)].astype(np.float32)
    features = LogMel(config)
    before, expected = (torch.from_numpy(features(sound.astype(np.float32))) for sound in (dry, wet))
    decay = math.exp(-6 * math.log(10) * hop / RATE / seconds)
    gain = torch.full((1, config.n_mels), (1 - decay) * 10 ** (-drr_db / 10))
    found = with_tail(before[None], torch.full((1, config.n_mels), decay), gain)[0]
    loud = expected.mean(dim=0) > expected.mean(dim=0).max() - 40 / DB
    error = DB * (found - expected)[:, loud].mean(dim=0)  # over bands: a noise tail is the model's on average alone
    unchanged = DB * (before - expected)[:, loud].mean(dim=0)
    assert error.abs().mean() < 1.0 and unchanged.abs().mean() > 5.0, (error.abs().mean(), unchanged.abs().mean())


def test_the_chain_draws_rooms_of_its_own_in_every_step_if_it_is_switched_on():
    off = AugmentConfig(gain=False, style=False, mixup=False, spec=False)
    on = AugmentConfig(gain=False, style=False, mixup=False, spec=False, reverberation=True)
    targets = torch.eye(6)[torch.zeros(8, dtype=torch.long)]
    clips = click(8, 60)
    assert torch.equal(batch_augment(off, 1e-6, FRAME)(clips, targets, 0)[0], clips)
    first, second = (batch_augment(on, 1e-6, FRAME)(clips, targets, seed)[0] for seed in (0, 1))
    assert not torch.equal(first, second) and torch.equal(first, batch_augment(on, 1e-6, FRAME)(clips, targets, 0)[0])


def test_chance_is_drawn_on_the_processor_wherever_the_batch_lies():
    """torch's meta device stands for a GPU: what is drawn there alone would be mixed with it."""
    decay, gain = (torch.empty(4, 64, device="meta") for _ in range(2))
    assert with_tail(torch.empty(4, 64, 90, device="meta"), decay, gain).device.type == "meta"


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: room(p=1.5), "reverberation p is 1.5"),
        (lambda: room(seconds=(0.0, 1.0)), "0.0 to 1.0 s"),
        (lambda: room(seconds=(2.0, 1.0)), "2.0 to 1.0 s"),
        (lambda: room(direct=(5.0, -5.0)), "min_drr_db 5.0"),
        (lambda: AugmentConfig(reverberation_p=2), "augment.reverberation_p is 2"),
        (lambda: AugmentConfig(min_reverberation_seconds=0), "augment.min_reverberation_seconds is 0"),
        (lambda: AugmentConfig(max_reverberation_seconds=0.1), "min_reverberation_seconds is 0.15, above"),
        (lambda: AugmentConfig(min_drr_db=20), "augment.min_drr_db is 20, above"),
    ],
)
def test_ranges_are_checked_by_name(make, part):
    with pytest.raises(ValueError, match=part):
        make()
