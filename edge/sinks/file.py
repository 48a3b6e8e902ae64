"""JSON lines in rotated files of limited size."""

import logging
import os
from functools import partial
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from crnn.errors import InputError, require
from edge.loop.events import Event
from edge.sinks.lines import as_dated_json
from edge.stream.results import StreamResult

SMALLEST_BYTES = 4096
"""Smallest size of a file; a line must fit into it"""
OWNER_ONLY = 0o600
"""Other users of the machine must not read the log"""


class FileSink:
    """Writes segments and audio events (and decisions on request), each with its wall-clock time.

    `path` is the newest file, `path.1` the one before. Together they hold at most `max_bytes * files`. A line that a
    full disk or a power cut left incomplete is ended before the next, so that all other lines stay readable.

    Args:
        labels: names of a decision's probs, in order.
        decisions: also write decisions: about 1 kB per second of speech.
        max_bytes: of one file, at least 4096.
        files: how many, at least 2.

    Raises InputError that names the path if it cannot be written; `write` raises OSError.
    """

    def __init__(
        self, path: Path, labels: tuple[str, ...], decisions: bool = False, max_bytes: int = 2_000_000, files: int = 5
    ) -> None:
        path = Path(path)
        require(max_bytes >= SMALLEST_BYTES, f"{path}: {max_bytes} bytes per file; give at least {SMALLEST_BYTES}")
        require(files >= 2, f"{path}: {files} files; give at least 2, one is always being written")
        require(path.is_file() or not path.exists(), f"{path}: is no regular file; name one, or a new one")
        require(path.parent.is_dir(), f"{path}: there is no folder {path.parent}; make it first")
        self._labels, self._decisions = labels, decisions
        try:
            self._handler = _Rotating(path, maxBytes=max_bytes, backupCount=files - 1, encoding="ascii")
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        self._handler.setFormatter(logging.Formatter("%(message)s"))

    def write(self, seconds: float, event: Event) -> None:
        if self._decisions or not isinstance(event, StreamResult):
            line = as_dated_json(seconds, event, self._labels)
            self._handler.emit(logging.makeLogRecord({"msg": line}))

    def close(self) -> None:
        self._handler.close()


class _Rotating(RotatingFileHandler):
    """The standard library's rotation, except that errors reach the caller and lines stay complete."""

    def _open(self) -> TextIOWrapper:
        stream = open(self.baseFilename, "a", encoding=self.encoding, opener=partial(os.open, mode=OWNER_ONLY))  # noqa: PTH123, SIM115
        try:
            if os.fstat(stream.fileno()).st_size and not _ends_with_newline(self.baseFilename):
                stream.write("\n")
                stream.flush()
        except OSError:
            _discard(stream)
            raise
        return stream

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Called while an error is handled. The file is opened and checked again before the next line."""
        stream, self.stream = self.stream, None
        if stream is not None:
            _discard(stream)
        raise  # the error that emit() is handling


def _ends_with_newline(path: str) -> bool:
    with open(path, "rb") as file:  # noqa: PTH123
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _discard(stream: TextIOWrapper) -> None:
    """Close a file whose last bytes cannot be written."""
    try:
        stream.close()
    except OSError:
        return
