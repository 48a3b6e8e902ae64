"""Augmented features of every recording, computed once: training then never waits for audio.

A *view* is one augmented version of a recording, kept as log-mel features (float16: the rounding, at most 0.004 at
these magnitudes, is far below any augmentation). Which views a recording has depends on its content, its name and the
settings alone (those of noise and rooms include what files there are), so folds, seeds and resumed runs share them.
"""

import hashlib
import json
import logging
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
from filelock import FileLock

from crnn.cache import AudioCache, default_folder
from crnn.config import FeatureConfig, InputError
from crnn.features import LogMel

log = logging.getLogger(__name__)

FORMAT = 1
PIECE = 32
"""Recordings per piece of work"""

Augment = Callable[[np.ndarray, np.random.SeedSequence], np.ndarray]
"""`waveform (time,)`, seed -> another waveform, of any length"""


@dataclass(frozen=True)
class Views:
    """Log-mel features of the views, float16, memory-mapped per corpus."""

    frames: dict[str, np.memmap]
    """Corpus -> `(all frames, n_mels)`"""
    places: dict[str, tuple[tuple[int, int], ...]]
    """Utterance name -> (first frame, number of frames) of each of its views"""

    def count(self, name: str) -> int:
        return len(self.places[name])

    def log_mel(self, name: str, view: int) -> np.ndarray:
        """`(frames, n_mels)` float16, read-only."""
        start, length = self.places[name][view]
        return self.frames[name.split("/")[0]][start : start + length]


def open_views(
    cache: AudioCache,
    corpora: Iterable[str],
    features: FeatureConfig,
    settings: dict,
    make_augment: Callable[[], Augment],
    folder: Path | None = None,
) -> Views:
    """Open the views of all recordings of these corpora, computing them first where they or the settings are new.

    `settings` are the augmentation's, as plain values with their number under "views"; `make_augment()` makes the chain
    they describe, in the process that uses it. Raises what `make_augment` raises.
    """
    folder = folder or default_folder()
    frames, places = {}, {}
    for corpus in corpora:
        names = sorted(name for name in cache.clips if name.startswith(f"{corpus}/"))
        described = json.dumps([FORMAT, asdict(features), settings, [(n, cache.hashes[n]) for n in names]])
        stem = folder / f"views-{hashlib.sha256(described.encode()).hexdigest()[:24]}"
        with FileLock(stem.with_suffix(".lock")):
            if not stem.with_suffix(".json").is_file():
                _build(cache, names, features, settings["views"], make_augment, stem)
        places |= {
            name: tuple(map(tuple, spans))
            for name, spans in json.loads(stem.with_suffix(".json").read_text(encoding="utf-8")).items()
        }
        stored = np.memmap(stem.with_suffix(".f16"), dtype=np.float16, mode="r")
        frames[corpus] = stored.reshape(-1, features.n_mels)
    return Views(frames, places)


def _build(
    cache: AudioCache, names: list[str], features: FeatureConfig, views: int, make_augment: Callable, stem: Path
) -> None:
    try:
        make_augment()  # settings that cannot work are refused here, in one place
    except ValueError as error:
        raise InputError(str(error)) from error
    log.info("computing %d views of each of %d recordings into %s.f16", views, len(names), stem)
    pieces = [names[start : start + PIECE] for start in range(0, len(names), PIECE)]
    places, total = {}, 0
    with tempfile.NamedTemporaryFile(dir=stem.parent, suffix=".part", delete=False) as file:
        try:
            for number, (piece, made) in enumerate(
                zip(pieces, _computed(cache, pieces, features, views, make_augment), strict=True), 1
            ):
                for name, log_mels in zip(piece, made, strict=True):
                    places[name] = []
                    for log_mel in log_mels:
                        file.write(log_mel.tobytes())
                        places[name].append((total, len(log_mel)))
                        total += len(log_mel)
                if number % 16 == 0:
                    log.info("views: %d of %d recordings", min(number * PIECE, len(names)), len(names))
            file.close()
            Path(file.name).replace(stem.with_suffix(".f16"))
        finally:
            Path(file.name).unlink(missing_ok=True)
    index = stem.with_suffix(".json.part")
    index.write_text(json.dumps(places), encoding="utf-8")
    index.replace(stem.with_suffix(".json"))


def _computed(
    cache: AudioCache, pieces: list[list[str]], features: FeatureConfig, views: int, make_augment: Callable
) -> Iterator[list[list[np.ndarray]]]:
    """The views of each piece, in order; on all processors where there is enough to do."""
    jobs = ([(name, np.array(cache.waveform(name))) for name in piece] for piece in pieces)
    processes = min(os.cpu_count() or 1, len(pieces) // 4)
    if processes < 2:
        yield from (_piece(job, features, views, make_augment) for job in jobs)
        return
    # Not forked: this process may already run torch's threads, which a fork does not survive.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(_piece, jobs, repeat(features), repeat(views), repeat(make_augment))


_chains: dict[int, Augment] = {}
"""This process's augmentation chain, made once: it holds decoded noise"""


def _piece(
    job: list[tuple[str, np.ndarray]], features: FeatureConfig, views: int, make_augment: Callable
) -> list[list[np.ndarray]]:
    key = hash(repr(make_augment))
    if key not in _chains:
        _chains.clear()
        _chains[key] = make_augment()
    log_mel = LogMel(features)
    return [
        [
            log_mel(_chains[key](waveform, np.random.SeedSequence([_number(name), view]))).T.astype(np.float16)
            for view in range(views)
        ]
        for name, waveform in job
    ]


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
