"""The energy VAD at its limits, on frames of an exact level: when it opens, closes, learns a noise and is sure."""

import numpy as np
import pytest

from crnn.errors import InputError
from edge.audio.energy_vad import EnergyVad
from edge.audio.speech_evidence import Voice

RATE, N = 16000, 320


def at_levels(*levels: float, rate: int = RATE, samples: int = N) -> np.ndarray:
    """A frame for each level in dBFS, of one shape, so that differences between near samples change as the level."""
    frame = np.random.default_rng(0).standard_normal(samples)
    frame = (frame - frame.mean()) / frame.std()
    return (frame * 10 ** (np.array(levels)[:, None] / 20)).astype(np.float32)


def answers(vad: EnergyVad, *levels: float) -> list[Voice]:
    return vad.update(at_levels(*levels))


def in_a_room(dbfs: float, **settings) -> EnergyVad:
    """A VAD that knows the noise of the room, 5 s of steady sound."""
    vad = EnergyVad(RATE, **settings)
    answers(vad, *[dbfs] * 250)
    assert vad.floor_dbfs == pytest.approx(dbfs, abs=0.02)
    return vad


def test_it_opens_9_db_above_the_noise_and_closes_6_db_above_it():
    found = answers(in_a_room(-50), -41.1, -40.9, -43.9, -44.1, -43.9)
    assert [bool(answer) for answer in found] == [False, True, True, False, False]


def test_in_digital_silence_it_opens_at_65_dbfs_and_closes_3_db_below():
    vad = EnergyVad(RATE)
    assert vad.floor_dbfs == pytest.approx(-74)
    found = answers(vad, -65.1, -64.9, -67.9, -68.1)
    assert [bool(answer) for answer in found] == [False, True, True, False]


def test_what_moves_is_no_noise_above_30_dbfs():
    vad = EnergyVad(RATE)
    found = answers(vad, *[level for _ in range(30) for level in [-16] * 10 + [-22] * 10])
    assert vad.floor_dbfs == pytest.approx(-30)
    assert all(found)
    assert [bool(answer) for answer in answers(vad, -24.1, -23.9, -21.1, -20.9)] == [False, False, False, True]


@pytest.mark.parametrize(("floor_seconds", "stretch"), [(5.0, 25), (2.0, 10)])
def test_a_steady_sound_is_learned_with_the_fourth_whole_stretch(floor_seconds, stretch):
    """Ten stretches are the time of the noise floor. The first holds the rise from silence; four more must pass."""
    found = answers(EnergyVad(RATE, floor_seconds=floor_seconds), *[-40] * 200)
    opened = 5 * stretch - 1
    assert [bool(answer) for answer in found] == [True] * opened + [False] * (200 - opened)


def test_a_loud_fan_is_learned_whatever_its_level_and_full_scale_is_the_most():
    for dbfs, learned in ((-12, -12), (-3, -3), (20, 0)):
        vad = EnergyVad(RATE)
        answers(vad, *[dbfs] * 150)
        assert vad.floor_dbfs == pytest.approx(learned, abs=0.05)


@pytest.mark.parametrize(
    ("bump", "sure"),
    [([6] * 3, range(0)), ([6] * 4, range(18, 53)), ([6] * 5, range(18, 66)), ([2.9] * 4, range(0)),
     ([3.1] * 4, range(18, 53)), ([-6] * 4, range(13, 53))],
)  # fmt: skip
def test_it_is_sure_while_15_percent_of_the_frames_rise_or_fall_by_3_db_in_a_tenth_of_a_second(bump, sure):
    """A bump of k frames rises k times and falls k times, the falls 5 frames later; the onset rises 5 times. Of each
    kind 4 are needed in up to 53 frames, 5 in up to 66; fewer than 50 frames count as 50. A dip falls first."""
    levels = np.full(70, -30.0)
    levels[10 : 10 + len(bump)] += bump
    found = answers(in_a_room(-60), *levels)
    expected = [Voice.SURE if at in sure else Voice.PERHAPS for at in range(70)]
    assert found == expected


def test_a_rise_and_a_fall_are_both_needed():
    """A sound that rises by 6 dB every 0.1 s, then one that falls as often, then both."""
    rising = [-60 + 6 * (at // 5) for at in range(40)]
    assert Voice.SURE not in answers(in_a_room(-70), *rising)
    vad = in_a_room(-70)
    answers(vad, *[-18] * 5)
    assert Voice.SURE in answers(vad, *rising[::-1]), "with the rise of the onset"


def test_frames_of_any_number_at_once_give_the_same_answers():
    levels = np.random.default_rng(1).uniform(-70, -20, 300)
    whole = answers(EnergyVad(RATE), *levels)
    vad = EnergyVad(RATE)
    assert [vad.update(frame[None])[0] for frame in at_levels(*levels)] == whole
    assert EnergyVad(RATE).update(np.zeros((0, N), np.float32)) == []


@pytest.mark.parametrize(("rate", "seconds", "samples"), [(16000, 0.02, 320), (8000, 0.02, 160), (44100, 0.032, 1411)])
def test_a_frame_has_its_length_at_any_rate(rate, seconds, samples):
    assert EnergyVad(rate, frame_seconds=seconds).frame_samples == samples
    assert EnergyVad(rate).frame_samples == round(0.02 * rate)


@pytest.mark.parametrize(
    ("rate", "tone", "moves"),
    [(2000, 1000, True), (8000, 2000, True), (8000, 4000, False), (16000, 2000, True), (16000, 4000, False),
     (48000, 4000, False)],
)  # fmt: skip
def test_movement_is_of_differences_over_a_quarter_of_a_millisecond(rate, tone, moves):
    """A tone of 4 kHz has no such differences, whatever its level; at a rate of 2 kHz they are one sample."""
    wave = np.sqrt(2) * np.cos(2 * np.pi * tone * np.arange(round(0.02 * rate)) / rate)
    levels = np.full(310, -30.0)
    levels[:250] = -70
    levels[260:264] = -24
    found = EnergyVad(rate).update((wave * 10 ** (levels[:, None] / 20)).astype(np.float32))
    assert (Voice.SURE in found[250:]) == moves


@pytest.mark.parametrize(("quiet_dbfs", "moves"), [(-100.0, False), (-80.0, True)])
def test_differences_below_a_power_of_1e_9_do_not_move(quiet_dbfs, moves):
    """Beside a tone that opens it and has none of them, noise that is 4 dB louder for 4 frames."""
    tone = np.cos(2 * np.pi * 4000 / RATE * np.arange(N))
    tone_levels, noise_levels = np.full(310, -40.0), np.full(310, quiet_dbfs)
    tone_levels[:250] = -70
    noise_levels[250:] += 4
    noise_levels[260:264] += 4
    found = EnergyVad(RATE).update(at_levels(*noise_levels) + np.float32(tone * 10 ** (tone_levels[:, None] / 20)))
    assert Voice.NO not in found[250:]
    assert (Voice.SURE in found[250:]) == moves


@pytest.mark.parametrize(
    "settings",
    [{"open_db": 6.0, "close_db": 6.0}, {"close_db": 0.01}, {"min_dbfs": -30.0}, {"floor_seconds": 0.2},
     {"floor_seconds": 0.5, "frame_seconds": 0.05}],
)  # fmt: skip
def test_settings_at_their_limits_are_taken(settings):
    EnergyVad(RATE, **settings)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"open_db": 5.9}, r"close_db 6\.0 .*open_db 5\.9 "),
        ({"close_db": 0.0}, r"close_db 0\.0 .*open_db 9\.0 "),
        ({"min_dbfs": -29.9}, r"min_dbfs -29\.9 .*max_floor_dbfs -30\.0"),
        ({"floor_seconds": 0.19}, r"floor_seconds .*0\.19.* 0\.2$"),
    ],
)
def test_settings_beyond_their_limits_are_refused_with_the_value(settings, part):
    with pytest.raises(InputError, match=part):
        EnergyVad(RATE, **settings)
