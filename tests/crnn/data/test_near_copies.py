"""Near copies are found through codecs, trimming, gain and noise; other takes are not taken for copies."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import soxr
from helpers import own_voices
from scipy.signal import butter, sosfilt

from crnn.check import check
from crnn.data.audio import read_audio
from crnn.data.corpora import read_corpus
from crnn.data.leaks import check_leaks
from crnn.data.near_copies import MIN_CORRELATION, NearCopy, correlation, low_band, near_copies, words
from crnn.data.prepare import cached_near_copies, open_corpus
from crnn.data.protocols import LeakError, make_split
from crnn.run_config import LAYOUT
from crnn.synthetic import synthesize

RATE = 16000
TELEPHONE = butter(4, [300, 3400], "bandpass", fs=RATE, output="sos")


def clip(number: int) -> np.ndarray:
    return synthesize("angry", 1 + number % 4, 2.0, np.random.default_rng([5, number]))


def coded(waveform: np.ndarray, form: str, subtype: str, rate: int = RATE) -> np.ndarray:
    data = io.BytesIO()
    soundfile.write(data, soxr.resample(waveform, RATE, rate) if rate != RATE else waveform, rate, subtype, format=form)
    data.seek(0)
    samples, rate = soundfile.read(data, dtype="float32")
    return soxr.resample(samples, rate, RATE) if rate != RATE else samples


def noisy(waveform: np.ndarray, snr_db: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(waveform))
    return (waveform + noise * np.sqrt(np.mean(waveform**2) / 10 ** (snr_db / 10))).astype(np.float32)


CHANGES = {
    "MP3": lambda w: coded(w, "MP3", "MPEG_LAYER_III"),
    "Vorbis": lambda w: coded(w, "OGG", "VORBIS"),
    "Opus": lambda w: coded(w, "OGG", "OPUS"),
    "mu-law at 8 kHz": lambda w: coded(w, "WAV", "ULAW", 8000),
    "44.1 kHz and back": lambda w: coded(w, "WAV", "PCM_16", 44100),
    "quieter": lambda w: w * np.float32(0.05),
    "inverted": lambda w: -w,
    "through a telephone": lambda w: sosfilt(TELEPHONE, w).astype(np.float32),
    "3.3 ms later": lambda w: np.concatenate([np.zeros(53, np.float32), w]),
    "half a second later": lambda w: np.concatenate([np.zeros(RATE // 2 + 7, np.float32), w]),
    "silence trimmed": lambda w: w[np.flatnonzero(np.abs(w) > 0.01)[0] :],
    "without its last third": lambda w: w[: 2 * len(w) // 3],
    "noise at 30 dB": lambda w: noisy(w, 30),
    "all at once": lambda w: noisy(coded(w[333:] * np.float32(0.3), "MP3", "MPEG_LAYER_III"), 30),
}


@pytest.mark.parametrize("change", CHANGES)
def test_near_copies_are_found_and_nothing_else(change):
    waves = {f"{n}": clip(n) for n in range(8)}
    waves |= {f"{n} again": CHANGES[change](clip(n)) for n in range(4)}
    found = near_copies({name: words(w, RATE) for name, w in waves.items()}, waves.__getitem__, RATE)
    assert {(copy.first, copy.second) for copy in found} == {(f"{n}", f"{n} again") for n in range(4)}
    assert all(MIN_CORRELATION <= copy.correlation <= 1 for copy in found)


def test_sounds_that_say_nothing_are_no_copies():
    rng = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    waves = {f"tone {f}": 0.3 * np.sin(2 * np.pi * f * time) for f in (300, 440, 441)}
    waves |= {f"noise {n}": rng.standard_normal(RATE) for n in range(3)}
    waves |= {"silence": np.zeros(RATE), "click": np.eye(1, RATE, 99)[0], "short": np.ones(3)}
    waves = {name: w.astype(np.float32) for name, w in waves.items()}
    assert near_copies({name: words(w, RATE) for name, w in waves.items()}, waves.__getitem__, RATE) == []
    assert near_copies({}, waves.__getitem__, RATE) == []


def test_correlation_of_signals_that_barely_meet_is_none():
    low = low_band(clip(0), RATE)
    assert correlation(low, low, 0) == pytest.approx(1)
    assert correlation(low, low, len(low) // 40) == 0


def test_a_generated_corpus_has_no_near_copies(voices, cache):
    _, audio = open_corpus("synthetic", str(voices), LAYOUT, RATE, cache)
    assert cached_near_copies(audio, RATE, cache) == []


def test_they_are_looked_for_once_and_again_when_the_answer_is_damaged(voices, tmp_path, caplog):
    caplog.set_level("INFO")
    _, audio = open_corpus("synthetic", str(voices), LAYOUT, RATE, tmp_path)
    one, other, *_ = audio.clips
    believable = json.dumps({"digest": "0" * 64, "copies": [[one, other, 0.9]]})
    for damage in (None, "intact", "[[1, 2, 3]]", '[["a", "b", 0.9]]', believable, "{}", "[" * 100_000, "\0\0"):
        caplog.clear()
        if damage not in (None, "intact"):
            next(tmp_path.glob("near-*.json")).write_text(damage)
        assert cached_near_copies(audio, RATE, tmp_path) == []
        assert ("near copies" in caplog.text) == (damage != "intact")


def test_the_guard_names_a_near_copy_in_two_sets_and_reports_one_within_a_set(voices):
    split = make_split("synthetic-demo", 0, read_corpus("synthetic", voices).utterances)
    hashes = {u.name: u.name for _, members in split.sets() for u in members}
    train, test = split.train[0].name, split.test[0].name
    with pytest.raises(LeakError, match=rf"{train} \(train\).* {test} \(test\).*0\.97"):
        check_leaks(split, hashes, [NearCopy(train, test, 0.97)])
    (line,) = check_leaks(split, hashes, [NearCopy(train, split.train[1].name, 0.97)])
    assert train in line and split.train[1].name in line
    assert check_leaks(replace(split, test=()), hashes, [NearCopy(train, test, 0.97)]) == []


def test_check_names_a_take_that_was_coded_again_for_somebody_else(tmp_path):
    mine = own_voices(tmp_path / "mine")
    samples, _ = soundfile.read(mine / "angry" / "voice1_00.wav", dtype="float32")
    soundfile.write(mine / "angry" / "voice2_77.mp3", samples[100:] * 0.5, RATE, format="MP3")
    found = check(f"folder:{mine}", LAYOUT, None, 0)
    (line,) = found["problems"]["same audio"]
    for part in ("voice1_00.wav", "voice2_77.mp3", "by voice1", "by voice2"):
        assert part in line


def test_real_corpora(recordings):
    """RAVDESS: the pair that its owners give two names, and no other. EmoDB has none: test_check looks at all of it."""
    files = sorted((recordings / "ravdess").glob("Actor_0[2-7]/**/*.flac"))[:360]
    waves = {p.stem: read_audio(p, RATE) for p in files}
    found = near_copies({name: words(w, RATE) for name, w in waves.items()}, waves.__getitem__, RATE)
    assert [(copy.first, copy.second) for copy in found] == [("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")]
