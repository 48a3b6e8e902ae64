"""Decoded, resampled recordings, kept once in a memory-mapped file so that training never waits for decoding."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from crnn.audio import audio_hash, read_audio
from crnn.config import InputError, require
from crnn.corpora import Utterance

log = logging.getLogger(__name__)

FORMAT = 2
MIN_SECONDS = 0.2
MAX_SECONDS = 60.0


@dataclass(frozen=True)
class AudioCache:
    """Waveforms by utterance name, float32, memory-mapped per corpus."""

    samples: dict[str, np.memmap]
    """Corpus -> all its samples"""
    clips: dict[str, tuple[int, int, str]]
    """Name -> (first sample, number of samples, hash of the samples)"""
    skipped: dict[str, str]
    """File -> why it could not be used"""

    def waveform(self, name: str) -> np.ndarray:
        """`(time,)` float32, read-only."""
        start, length, _ = self.clips[name]
        return self.samples[name.split("/")[0]][start : start + length]

    @property
    def hashes(self) -> dict[str, str]:
        return {name: digest for name, (_, _, digest) in self.clips.items()}


def merged(caches: Iterable[AudioCache]) -> AudioCache:
    """Several corpora's caches as one."""
    samples, clips, skipped = {}, {}, {}
    for cache in caches:
        samples |= cache.samples
        clips |= cache.clips
        skipped |= cache.skipped
    return AudioCache(samples, clips, skipped)


def default_folder() -> Path:
    """$XDG_CACHE_HOME/ser, usually ~/.cache/ser. Safe to delete at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ser"


def open_cache(utterances: Iterable[Utterance], sample_rate: int, folder: Path | None = None) -> AudioCache:
    """Open the cache of these recordings of one corpus, decoding them first if their content or the settings are new.

    A recording that cannot be decoded, is silent throughout, or is shorter than 0.2 s or longer than 60 s is left
    out, logged and listed in `skipped`. Several processes may call this at once: one decodes, the others wait.
    Raises InputError if nothing usable is left or two recordings have the same name.
    """
    utterances = list(utterances)
    names = [u.name for u in utterances]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    require(not twice, f"several files are named {', '.join(twice[:3])}: the corpus folder holds copies; remove them")
    folder = folder or default_folder()
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / _key(utterances, sample_rate)
    with FileLock(stem.with_suffix(".lock")):
        if not stem.with_suffix(".json").is_file():
            _build(utterances, sample_rate, stem)
    index = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    # By name in the file, by path here: the same recordings may lie in another folder now.
    skipped = {str(u.path): index["skipped"][u.name] for u in utterances if u.name in index["skipped"]}
    for path, reason in skipped.items():
        log.warning("left out %s (%s)", path, reason)
    require(len(index["clips"]) > 0, f"none of the {len(utterances)} recordings is usable; first: {_first(skipped)}")
    samples = np.memmap(stem.with_suffix(".f32"), dtype=np.float32, mode="r")
    return AudioCache(
        {utterances[0].corpus: samples}, {name: tuple(clip) for name, clip in index["clips"].items()}, skipped
    )


def _first(skipped: dict[str, str]) -> str:
    return next((f"{path}: {reason}" for path, reason in skipped.items()), "")


def _key(utterances: list[Utterance], sample_rate: int) -> str:
    """Hash of the files' bytes and of every setting that changes what is stored."""
    digest = hashlib.sha256(f"{FORMAT} {sample_rate} {MIN_SECONDS} {MAX_SECONDS}".encode())
    for u in utterances:
        digest.update(u.name.encode())
        digest.update(hashlib.sha256(u.path.read_bytes()).digest())
    return digest.hexdigest()[:24]


def _build(utterances: list[Utterance], sample_rate: int, stem: Path) -> None:
    log.info("decoding %d recordings into %s.f32", len(utterances), stem)
    clips, skipped, total = {}, {}, 0
    with tempfile.NamedTemporaryFile(dir=stem.parent, suffix=".part", delete=False) as file:
        try:
            for u in utterances:
                try:
                    waveform = _usable(u.path, sample_rate)
                except InputError as error:
                    skipped[u.name] = str(error).removeprefix(f"{u.path}: ")
                    continue
                file.write(np.ascontiguousarray(waveform, dtype=np.float32).tobytes())
                clips[u.name] = (total, len(waveform), audio_hash(waveform))
                total += len(waveform)
            file.close()
            if clips:
                Path(file.name).replace(stem.with_suffix(".f32"))
        finally:
            Path(file.name).unlink(missing_ok=True)
    index = stem.with_suffix(".json.part")
    index.write_text(json.dumps({"clips": clips, "skipped": skipped}), encoding="utf-8")
    index.replace(stem.with_suffix(".json"))


def _usable(path: Path, sample_rate: int) -> np.ndarray:
    waveform = read_audio(path, sample_rate, max_seconds=MAX_SECONDS)
    require_usable(path, waveform, sample_rate)
    return waveform


def require_usable(path: Path, waveform: np.ndarray, sample_rate: int) -> None:
    """Raises InputError, naming the file, if `waveform (time,)` is too short or silent throughout."""
    seconds = len(waveform) / sample_rate
    require(seconds >= MIN_SECONDS, f"{path}: {seconds:.2f} s long; at least {MIN_SECONDS} s are needed")
    require(bool(np.abs(waveform).max() > 0), f"{path}: silent throughout")
