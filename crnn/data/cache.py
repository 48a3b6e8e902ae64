"""Decoded, resampled recordings in one memory-mapped file, so that training never waits for decoding."""

import functools
import hashlib
import logging
import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn.data.array_store import Kind, Made, open_store
from crnn.data.audio import to_mono_rate
from crnn.data.corpora import Utterance
from crnn.data.segments import ClipReader
from crnn.errors import InputError, require
from crnn.files.strict import file_hash

log = logging.getLogger(__name__)

FORMAT = 4
"""Of what is decoded and how it is stored; another number makes every cache anew"""
KIND = Kind("f32", "<f4")
MIN_SECONDS = 0.2
MAX_SECONDS = 60.0


@dataclass(frozen=True)
class AudioCache:
    """Waveforms by utterance name, float32, memory-mapped per corpus."""

    samples: dict[str, np.ndarray]
    """Corpus -> all its samples, memory-mapped"""
    clips: dict[str, tuple[int, int, str]]
    """Name -> (first sample, number of samples, `crnn.data.audio.audio_hash` of them)"""
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
    both = AudioCache({}, {}, {})
    for cache in caches:
        both.samples.update(cache.samples)
        both.clips.update(cache.clips)
        both.skipped.update(cache.skipped)
    return both


def default_folder() -> Path:
    """$XDG_CACHE_HOME/ser, usually ~/.cache/ser. Safe to delete at any time.

    Raises InputError where nobody knows a home folder (a container with an unknown user id and no $HOME).
    """
    given = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(given or Path.home() / ".cache") / "ser"
    except RuntimeError as error:
        raise InputError("no home folder for decoded audio; give --cache FOLDER or set HOME") from error


def open_cache(utterances: Iterable[Utterance], sample_rate: int, folder: Path | None = None) -> AudioCache:
    """Open the cache of these recordings of one corpus, decoding them first if their content or the settings are new.

    Stored recordings that no longer have their hash are decoded anew (`crnn.data.array_store`). A recording that
    cannot be decoded, is silent throughout, or is shorter than 0.2 s or longer than 60 s is left out, logged and listed
    in `skipped`. Several processes may call this at once: one decodes, the others wait. Raises InputError if nothing
    usable is left, two recordings have the same name, or the folder cannot be written and something has to be.
    """
    utterances = list(utterances)
    names = [u.name for u in utterances]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    require(not twice, f"several files are named {', '.join(twice[:3])}: the corpus folder holds copies; remove them")
    folder, stem = folder or default_folder(), _key(utterances, sample_rate)
    by_name, reader = {u.name: u for u in utterances}, ClipReader()

    def decoded(wanted: Sequence[str]) -> Generator[Made, None, None]:
        log.info("decoding %d recordings into %s", len(wanted), folder / f"{stem}.{KIND.suffix}")
        for name in wanted:
            u = by_name[name]
            try:
                yield [_usable(u, reader, sample_rate)]
            except InputError as error:
                yield str(error).removeprefix(f"{u.path}: ")

    store = open_store(folder, stem, KIND, names, decoded)
    # By name in the store, by path here: the same recordings may lie in another folder now.
    skipped = {by_name[name].place: reason for name, reason in store.absent.items()}
    for path, reason in skipped.items():
        log.warning("left out %s (%s)", path, reason)
    require(len(store.spans) > 0, f"none of the {len(utterances)} recordings is usable; first: {_first(skipped)}")
    return AudioCache(
        {utterances[0].corpus: store.rows}, {name: span for name, (span,) in store.spans.items()}, skipped
    )


def _first(skipped: dict[str, str]) -> str:
    return next((f"{path}: {reason}" for path, reason in skipped.items()), "")


def _key(utterances: list[Utterance], sample_rate: int) -> str:
    """Hash of the files' bytes and of every setting that changes what is stored."""
    digest = hashlib.sha256(f"{FORMAT} {sample_rate} {MIN_SECONDS} {MAX_SECONDS}".encode())
    content = functools.cache(file_hash)  # several segments of one file
    for u in utterances:
        digest.update(u.name.encode("utf-8", "surrogateescape"))  # says which segment, too
        digest.update(bytes.fromhex(content(u.path)))
    return digest.hexdigest()[:24]


def _usable(utterance: Utterance, reader: ClipReader, sample_rate: int) -> np.ndarray:
    waveform = to_mono_rate(*reader.decode(utterance, MAX_SECONDS), sample_rate)
    require_usable(utterance.path, waveform, sample_rate)
    return waveform


def require_usable(path: Path, waveform: np.ndarray, sample_rate: int) -> None:
    """Raises InputError, naming the file, if `waveform (time,)` is too short or silent throughout."""
    seconds = len(waveform) / sample_rate
    require(seconds >= MIN_SECONDS, f"{path}: {seconds:.2f} s long; at least {MIN_SECONDS} s are needed")
    require(bool(np.ptp(waveform) > 0), f"{path}: silent throughout")
