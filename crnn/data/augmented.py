"""Augmented copies of every recording, computed once: training then never waits for audio.

A *copy* is one augmented version of a recording, stored as log-mel features (float16: the rounding, at most 0.004 at
these magnitudes, is far below any augmentation), or as samples (float16: the rounding is 70 dB below each sample).
Which copies a recording has depends on its content, its name and the
settings alone (those of noise and rooms include what files there are), so folds, seeds and resumed runs share them.
"""

import hashlib
import json
import logging
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from crnn.cli.termination import starting_workers
from crnn.config import FeatureConfig
from crnn.data.array_store import Kind, open_store
from crnn.data.cache import AudioCache, default_folder
from crnn.errors import InputError, require
from crnn.features import LogMel
from crnn.offset import rest_level

log = logging.getLogger(__name__)

FORMAT = 3
PIECE = 32
"""Recordings per piece of work"""

Augment = Callable[[np.ndarray, np.random.SeedSequence], np.ndarray]
"""`waveform (time,)`, seed -> another waveform, of any length"""


@dataclass(frozen=True)
class AugmentedCopies:
    """The copies, float16, memory-mapped per corpus."""

    stored: dict[str, np.ndarray]
    """Corpus -> `(all frames, n_mels)`, or `(all samples,)`"""
    places: dict[str, tuple[tuple[int, int], ...]]
    """Utterance name -> (first row, number of rows) of each of its copies"""

    def count(self, name: str) -> int:
        return len(self.places[name])

    def rows(self, name: str, copy: int) -> np.ndarray:
        """`(frames, n_mels)` or `(samples,)` float16, read-only."""
        start, length = self.places[name][copy]
        return self.stored[name.split("/")[0]][start : start + length]


def open_augmented(
    cache: AudioCache,
    corpora: Iterable[str],
    features: FeatureConfig,
    settings: dict,
    make_augment: Callable[[], Augment],
    folder: Path | None = None,
    waveforms: bool = False,
) -> AugmentedCopies:
    """Open the copies of all recordings of these corpora, computing them first where they or the settings are new.

    `settings` are the augmentation's, as plain values with the number of copies under "copies"; `make_augment()` makes
    the chain they describe, in the process that uses it. `waveforms`: store samples, of which `features` says the rate
    alone. Raises what `make_augment` raises.
    """
    folder = folder or default_folder()
    kind = Kind("f16", "<f2", () if waveforms else (features.n_mels,))
    represented = {"samples": features.sample_rate} if waveforms else asdict(features)
    stored: dict[str, np.ndarray] = {}
    places: dict[str, tuple[tuple[int, int], ...]] = {}
    for corpus in corpora:
        names = sorted(name for name in cache.clips if name.startswith(f"{corpus}/"))
        described = json.dumps([FORMAT, represented, settings, [(n, cache.hashes[n]) for n in names]])
        stem = f"augmented-{hashlib.sha256(described.encode()).hexdigest()[:24]}"

        def computed(wanted: Sequence[str], stem: str = stem) -> Generator[list[np.ndarray], None, None]:
            log.info("computing %d copies of %d recordings into %s.f16", settings["copies"], len(wanted), folder / stem)
            represent = Represent(None if waveforms else features)
            return _augmented_copies(cache, wanted, represent, settings["copies"], make_augment)

        store = open_store(folder, stem, kind, names, computed)
        stored[corpus] = store.rows
        places |= {name: tuple((first, n) for first, n, _ in spans) for name, spans in store.spans.items()}
    return AugmentedCopies(stored, places)


@dataclass(frozen=True)
class Represent:
    """How a copy is stored; called in the process that makes it."""

    features: FeatureConfig | None
    """None: as samples"""

    def __call__(self) -> Callable[[np.ndarray], np.ndarray]:
        """`waveform (time,)` -> its rows."""
        if self.features is None:
            return lambda waveform: waveform
        log_mel = LogMel(self.features)
        return lambda waveform: log_mel(waveform).T


def _augmented_copies(
    cache: AudioCache, names: Sequence[str], represent: Represent, copies: int, make_augment: Callable
) -> Generator[list[np.ndarray], None, None]:
    """The copies of each recording, in order."""
    try:
        make_augment()  # settings that cannot work are refused here, in one place
    except ValueError as error:
        raise InputError(str(error)) from error
    pieces = [names[start : start + PIECE] for start in range(0, len(names), PIECE)]
    with closing(_computed(cache, pieces, represent, copies, make_augment)) as computed:
        for number, (piece, made) in enumerate(zip(pieces, computed, strict=True), 1):
            for name, rows in zip(piece, made, strict=True):
                finite = all(np.isfinite(each).all() for each in rows)
                require(finite, f"{name}: augmentation gives NaN or infinite values; check noise and room folders")
                yield rows
            if number % 16 == 0:
                log.info("augmented copies: %d of %d recordings", min(number * PIECE, len(names)), len(names))


def _computed(
    cache: AudioCache, pieces: list[Sequence[str]], represent: Represent, copies: int, make_augment: Callable
) -> Generator[list[list[np.ndarray]], None, None]:
    """The copies of each piece, in order; on all processors where there is enough to do."""
    jobs = ([(name, np.array(cache.waveform(name))) for name in piece] for piece in pieces)
    processes = min(os.cpu_count() or 1, len(pieces) // 4)
    if processes < 2:
        yield from (_piece(job, represent, copies, make_augment) for job in jobs)
        return
    # Not forked: this process may already run torch's threads, which a fork does not survive.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent)
    pending: deque[Future] = deque()
    try:
        for job in jobs:
            with starting_workers():
                pending.append(pool.submit(_piece, job, represent, copies, make_augment))
            if len(pending) > 2 * processes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            "a process that computed features was ended from outside, perhaps for want of memory; run the same again"
        ) from error
    except BaseException:  # a signal, or nobody wants the rest: what is being computed is not waited for
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        raise
    finally:
        pool.shutdown()


def _end_with_parent() -> None:
    """A worker waits for work for ever: let it end with its parent, however that was ended."""

    def follow(parent: multiprocessing.process.BaseProcess) -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, args=(multiprocessing.parent_process(),), daemon=True).start()


_chains: dict[int, Augment] = {}
"""This process's augmentation chain, made once: it holds decoded noise"""


def _piece(
    job: list[tuple[str, np.ndarray]], represent: Represent, copies: int, make_augment: Callable
) -> list[list[np.ndarray]]:
    key = hash(repr(make_augment))
    if key not in _chains:
        _chains.clear()
        _chains[key] = make_augment()
    rows_of = represent()
    # The features do not see a constant offset, but rooms, cuts and signal-to-noise ratios would.
    return [
        [
            rows_of(_chains[key](centred, np.random.SeedSequence([_number(name), copy]))).astype(np.float16)
            for copy in range(copies)
        ]
        for name, centred in ((name, waveform - rest_level(waveform)) for name, waveform in job)
    ]


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")
