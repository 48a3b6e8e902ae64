"""Starts the capture process, reads its records and ends it. For Linux and macOS."""

import json
import logging
import select
import signal
import subprocess
import sys
import time
from typing import IO, NamedTuple, cast

from crnn.errors import InputError
from edge.audio.capture import FAILED, HEADER

log = logging.getLogger(__name__)

# The process gets our search path, as with multiprocessing, so that it imports the same packages.
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from edge.audio.capture import main; main(sys.argv[2])"
)


class Record(NamedTuple):
    """One record of the capture process (see `edge.audio.capture`)."""

    kind: bytes
    lost: int
    seconds: float
    payload: bytes


class CaptureProcess:
    """A running capture process; it can always be killed."""

    def __init__(self, **request: object) -> None:
        # ALSA and JACK write warnings that mean nothing to a user while PortAudio tries every device.
        noise = None if log.isEnabledFor(logging.DEBUG) else subprocess.DEVNULL
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM, json.dumps(sys.path), json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is handled by this process
        )
        # Popen makes what was asked for as PIPE; its types do not say so.
        self._stdin, self._stdout = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self._poll = select.poll()
        self._poll.register(self._stdout, select.POLLIN)
        self._data = bytearray()

    def read(self, timeout: float) -> Record | None:
        """The next record, or None if there is none within `timeout` s.

        Raises InputError where another try cannot succeed, OSError where the device or the process has failed.
        """
        deadline = time.monotonic() + timeout
        while (record := self._parsed()) is None:
            left = deadline - time.monotonic()
            if not self._poll.poll(max(0.0, left) * 1000):
                return None
            data = self._stdout.read(65536)
            if not data:
                raise OSError(f"the capture process ended ({self._status()}); log at DEBUG to see its messages")
            self._data += data
        if record.kind == FAILED:
            failure = json.loads(record.payload)
            raise (InputError if failure["fatal"] else OSError)(failure["message"])
        return record

    def _parsed(self) -> Record | None:
        if len(self._data) < HEADER.size:
            return None
        kind, lost, seconds, size = HEADER.unpack_from(self._data)
        end = HEADER.size + size
        if len(self._data) < end:
            return None
        payload = bytes(self._data[HEADER.size : end])
        del self._data[:end]
        return Record(kind, lost, seconds, payload)

    def _status(self) -> str:
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "still running"
        return f"status {code}" if code >= 0 else signal.Signals(-code).name

    def kill(self) -> None:
        """End it at once. Safe from another thread and from a signal handler: `read` then raises OSError."""
        self._process.kill()

    def close(self) -> None:
        """End it and close its pipes."""
        self.kill()
        self._stdin.close()
        self._stdout.close()
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:  # blocked in a kernel driver: it ends when the driver returns
            log.warning("the capture process %d does not end", self._process.pid)
