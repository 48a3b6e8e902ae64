"""Stores utterances that the loop was unsure of (edge.feedback.store) without delaying the audio."""

import fcntl
import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import BinaryIO

import numpy as np

from crnn.errors import InputError
from edge.feedback.store import LOCK, PRIVATE_FILE, RecordingStore, StoreLimits
from edge.loop.events import Recording, SinkOf
from edge.sinks.worker import Worker
from edge.stream.results import Segment, Verdict

log = logging.getLogger(__name__)

QUEUE = 4
"""Recordings that wait for a slow disk, at most; 2 MB"""
TIDY_SECONDS = 3600.0
"""s between two removals of recordings that are too old"""
WORTH_ASKING = (None, Verdict.UNCERTAIN)
"""Verdicts of segments that can be corrected; bad sound teaches nothing"""


class Recorder:
    """Give it to an `UtteranceRecognizer` as `record`; `close` it at the end.

    Args:
        folder: no other loop may store recordings there at the same time; a page may correct them.
        bundle: identity of the bundle that answers.
        sample_rate: Hz.
        live: for a microphone. A thread writes; recordings it is too slow for are dropped, and errors of the disk are
            logged. Otherwise `__call__` writes, and raises OSError.
        now: the wall clock, aware.

    Raises InputError if another loop stores recordings there.
    """

    def __init__(
        self,
        folder: RecordingStore,
        limits: StoreLimits,
        bundle: str,
        sample_rate: int,
        live: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder, self._rate, self._now = folder, sample_rate, now
        self._lock = _locked(folder)
        try:
            folder.clear_unfinished()
            folder.tidy(limits)
            _, foreign = folder.scan()
        except OSError as error:
            self._lock.close()
            raise InputError(f"{folder.path}: cannot be used ({error.strerror})") from error
        if foreign:
            log.warning("%s: %d other files are left unchanged, for instance %s", folder.path, len(foreign), foreign[0])
        sink = _Sink(folder, limits, bundle)
        self._out: SinkOf[Recording] = Worker(sink, str(folder.path), QUEUE) if live else sink
        self._ending = threading.Event()
        if live:
            threading.Thread(target=self._tidy, args=(sink,), name="stored recordings", daemon=True).start()

    def __call__(self, segment: Segment, samples: np.ndarray) -> None:
        """Store a segment and its sound, `(time,)` float32 in [-1, 1], which is copied."""
        if segment.verdict in WORTH_ASKING and segment.probs:
            sound = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
            self._out.write(segment.end_seconds, Recording(segment, sound, self._rate, self._now()))

    def close(self) -> None:
        self._ending.set()
        self._out.close()
        self._lock.close()

    def _tidy(self, sink: "_Sink") -> None:
        reported = False
        while not self._ending.wait(TIDY_SECONDS):
            try:
                sink.tidy()
            except OSError as error:
                if not reported:
                    log.warning("%s: old recordings cannot be removed (%s)", self._folder.path, error.strerror)
                reported = True


class _Sink:
    """Writes recordings to the folder, one at a time."""

    def __init__(self, folder: RecordingStore, limits: StoreLimits, bundle: str) -> None:
        self._folder, self._limits, self._bundle = folder, limits, bundle
        self._one = threading.Lock()

    def write(self, seconds: float, event: Recording) -> None:
        with self._one:
            self._folder.add(event, self._bundle, self._limits)

    def tidy(self) -> None:
        with self._one:
            self._folder.tidy(self._limits)

    def close(self) -> None:
        pass


def _locked(folder: RecordingStore) -> BinaryIO:
    """A file that this process locks until it is closed or the process ends."""
    path = folder.path / LOCK
    try:
        # Not through a link, and without truncating a file that exists: it is only locked.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, PRIVATE_FILE)
        file = os.fdopen(handle, "wb")
    except OSError as error:
        in_the_way = path.is_symlink() or path.is_dir()
        problem = f"{path}: is a link or a folder; remove it" if in_the_way else f"{folder.path}: cannot be written"
        raise InputError(f"{problem} ({error.strerror})") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        busy = isinstance(error, BlockingIOError)
        why = "another loop stores recordings there; name another folder" if busy else f"no lock ({error.strerror})"
        raise InputError(f"{folder.path}: {why}") from error
    return file
