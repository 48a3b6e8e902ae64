"""The caches under faults: whatever happens to their files, training sees the recordings or one clear line."""

import logging
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import ROOT, mounted_disk, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.config import AugmentConfig
from augment.pipeline import chains
from crnn.data.array_store import Kind, open_store
from crnn.data.augmented import open_augmented
from crnn.data.cache import default_folder, open_cache
from crnn.data.corpora import Utterance
from crnn.errors import InputError
from crnn.run_config import RunConfig

RATE = 16000
CONFIG = RunConfig()
AUGMENT = AugmentConfig(noise=False, room=False, copies=2)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Utterance]:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(5):
        soundfile.write(folder / f"{number}.wav", (0.1 + 0.1 * number) * tone(0.3 + 0.1 * number, RATE), RATE)
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    return [Utterance(path, "ravdess", "01", "male", "happy") for path in sorted(folder.iterdir())]


def audio_of(clips, folder: Path) -> dict[str, np.ndarray]:
    """What training would read of the waveforms."""
    cache = open_cache(clips, RATE, folder)
    return {name: np.array(cache.waveform(name)) for name in cache.clips}


def copies_of(clips, folder: Path) -> dict[str, np.ndarray]:
    """What training would read of the copies, by name and number."""
    chain = chains(
        AUGMENT, RATE, CONFIG.geometry.window_samples, CONFIG.features.log_offset, CONFIG.features.hop_length
    )
    cache = open_cache(clips, RATE, folder.parent / f"{folder.name}-audio")
    copies = open_augmented(cache, ["ravdess"], CONFIG.features, chain.copy_settings, chain.make_copy_augment, folder)
    return {f"{name} {copy}": np.array(copies.rows(name, copy)) for name in copies.places for copy in range(2)}


def same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


def zeros(data: bytes) -> bytes:
    return bytes(len(data))


def flipped(data: bytes) -> bytes:
    at = len(data) // 3
    return data[:at] + bytes([data[at] ^ 0x04]) + data[at + 1 :]


def nan(data: bytes) -> bytes:
    return b"\xff" * 400 + data[400:]  # NaN as float16 and as float32


ARRAY_FAULTS = {
    "zeros": zeros,
    "a bit": flipped,
    "NaN": nan,
    "cut": lambda data: data[: len(data) // 2],
    "cut inside a sample": lambda data: data[:-1],
    "empty": lambda data: b"",
}
INDEX_FAULTS = {
    "empty": b"",
    "zeros": bytes(500),
    "garbage": os.urandom(300),
    "not an object": b"[1, 2]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "huge number": b'{"items": ' + b"9" * 5000 + b"}",
    "older version": b'{"clips": {"ravdess/0": [0, 4800, "00"]}, "skipped": {}}',
    "other shapes": b'{"digest": "", "items": {"ravdess/0": 3}, "absent": {"ravdess/1": []}}',
    "a pickle": pickle.dumps({"items": {}, "absent": {}}),
}


@pytest.mark.parametrize(("read", "suffix"), [(audio_of, "f32"), (copies_of, "f16")])
@pytest.mark.parametrize("fault", ARRAY_FAULTS)
def test_damaged_arrays_are_found_and_made_anew_in_one_line(read, suffix, fault, clips, tmp_path, caplog):
    whole = read(clips, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob(f"*.{suffix}")
    good = file.read_bytes()
    file.write_bytes(ARRAY_FAULTS[fault](good))
    with caplog.at_level(logging.WARNING):
        assert same(read(clips, tmp_path / "cache"), whole)
    (line,) = [r.getMessage() for r in caplog.records if "damaged" in r.getMessage()]
    assert re.search(rf"{re.escape(str(file))}: \d of \d recordings damaged; making them anew", line)
    assert file.read_bytes() == good
    caplog.clear()
    assert same(read(clips, tmp_path / "cache"), whole)
    assert not [r for r in caplog.records if "damaged" in r.getMessage()], "mended once"
    assert not list((tmp_path / "cache").glob("*.part"))


@pytest.mark.parametrize("read", [audio_of, copies_of])
@pytest.mark.parametrize("fault", INDEX_FAULTS)
def test_a_damaged_index_is_made_anew(read, fault, clips, tmp_path, caplog):
    whole = read(clips, tmp_path / "cache")
    (index,) = (tmp_path / "cache").glob("*.json")
    index.write_bytes(INDEX_FAULTS[fault])
    with caplog.at_level(logging.WARNING):
        assert same(read(clips, tmp_path / "cache"), whole)
    assert len([r for r in caplog.records if "damaged; making them anew" in r.getMessage()]) == 1
    assert same(read(clips, tmp_path / "cache"), whole)


def test_only_what_is_damaged_is_decoded_again(clips, tmp_path, caplog):
    open_cache(clips, RATE, tmp_path)
    (file,) = tmp_path.glob("*.f32")
    data = bytearray(file.read_bytes())
    data[10] ^= 1  # in the first recording
    file.write_bytes(data)
    with caplog.at_level(logging.INFO):
        open_cache(clips, RATE, tmp_path)
    messages = [r.getMessage() for r in caplog.records]
    assert any("1 of 6 recordings damaged" in line for line in messages)
    assert any("decoding 1 recordings" in line for line in messages)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_no_damage_reaches_the_reader(tmp_path_factory, data):
    """Any bytes of either file replaced, cut off or repeated: the store gives what was put in."""
    folder = tmp_path_factory.mktemp("store")
    kind = Kind("bin", "<f4", (3,))
    rng = np.random.default_rng(0)
    arrays = {name: [rng.normal(size=(n, 3)).astype("<f4") for n in (2, 5)] for name in "abc"}

    def read() -> dict:
        store = open_store(folder, "x", kind, ["a", "b", "c", "d"], lambda names: (arrays.get(n, "why") for n in names))
        assert store.absent == {"d": "why"}
        return {name: [store.rows[at : at + n] for at, n, _ in spans] for name, spans in store.spans.items()}

    read()
    file = folder / data.draw(st.sampled_from(["x.bin", "x.json"]))
    stored = file.read_bytes()
    at = data.draw(st.integers(0, len(stored)))
    file.write_bytes(stored[:at] + data.draw(st.binary(max_size=20)) + stored[at + data.draw(st.integers(0, 20)) :])
    found = read()
    assert found.keys() == arrays.keys()
    for name, expected in arrays.items():
        assert all(np.array_equal(a, b) for a, b in zip(found[name], expected, strict=True))


def test_an_interrupted_rebuild_keeps_what_there_was(clips, tmp_path, monkeypatch):
    whole = audio_of(clips, tmp_path)
    (file,) = tmp_path.glob("*.f32")
    damaged = flipped(file.read_bytes())
    file.write_bytes(damaged)

    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("crnn.data.segments.ClipReader.decode", dies)
        with pytest.raises(KeyboardInterrupt):
            audio_of(clips, tmp_path)
    assert file.read_bytes() == damaged
    (tmp_path / f".{file.name}.0-left.part").write_bytes(b"of a process that was killed")
    assert same(audio_of(clips, tmp_path), whole)
    assert not list(tmp_path.glob(".*.part"))


def test_processes_that_mend_at_once_agree(clips, tmp_path):
    whole = audio_of(clips, tmp_path)
    (file,) = tmp_path.glob("*.f32")
    file.write_bytes(zeros(file.read_bytes()))
    code = f"""
import sys, logging
from pathlib import Path
from crnn.data.cache import open_cache
from crnn.data.corpora import Utterance
logging.basicConfig()
clips = [Utterance(p, "ravdess", "01", "male", "happy") for p in sorted(Path({str(clips[0].path.parent)!r}).iterdir())]
cache = open_cache(clips, {RATE}, Path({str(tmp_path)!r}))
print(sum(float(abs(cache.waveform(name)).sum()) for name in cache.clips))
"""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    total = sum(float(abs(wave).sum()) for wave in whole.values())
    assert [float(out) for out, _ in said] == pytest.approx([total] * 3)
    assert sum("damaged" in err for _, err in said) == 1, "the first mends, the others wait"


def test_a_read_only_cache_is_read_and_never_written(clips, tmp_path):
    with mounted_disk(tmp_path / "disk", "1m") as disk:
        whole = audio_of(clips, disk / "cache")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert same(audio_of(clips, disk / "cache"), whole)
        with pytest.raises(InputError, match="Read-only file system.*--cache"):
            audio_of(clips[:2], disk / "cache")
        with pytest.raises(InputError, match="--cache"):
            audio_of(clips[:2], disk / "not there")


def test_a_damaged_read_only_cache_is_refused(clips, tmp_path):
    with mounted_disk(tmp_path / "disk", "1m") as disk:
        audio_of(clips, disk)
        (file,) = disk.glob("*.f32")
        file.write_bytes(nan(file.read_bytes()))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(InputError, match="Read-only file system"):
            audio_of(clips, disk)


def test_a_full_disk_is_named_and_nothing_is_left(clips, tmp_path):
    with mounted_disk(tmp_path / "disk", "64k") as disk:
        with pytest.raises(OSError, match="No space left") as raised:
            audio_of(clips, disk)
        assert str(raised.value.filename).endswith(".f32")
        assert {path.suffix for path in disk.iterdir()} == {".lock"}


def test_augmentation_that_gives_nan_is_named(clips, tmp_path):
    cache = open_cache(clips, RATE, tmp_path)

    def make():
        return lambda waveform, seed: np.full(8000, np.nan, np.float32)

    with pytest.raises(InputError, match="ravdess/0.*NaN"):
        open_augmented(cache, ["ravdess"], CONFIG.features, {"copies": 1}, make, tmp_path)
    assert not list(tmp_path.glob("*.f16"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become an unknown user")
def test_a_user_without_a_home_has_to_name_a_folder():
    code = "import os; from crnn.data import cache; os.setuid(12345); cache.default_folder()"
    without = {key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_CACHE_HOME")}
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=without, capture_output=True, text=True)
    (line,) = (line for line in result.stderr.splitlines() if "InputError: " in line)
    assert "--cache" in line
    assert default_folder().name == "ser"
