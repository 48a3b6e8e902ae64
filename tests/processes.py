"""Servers and commands that run beside a test: waiting for what they do, and ending them."""

import signal
import subprocess
import time
from collections.abc import Callable

PATIENCE = 60.0
"""s until something counts as never happening: the machine may be busy"""


def eventually(condition: Callable[[], bool], what: str, process: subprocess.Popen | None = None) -> None:
    """Wait for an effect of other threads or processes; in vain if `process`, which is to cause it, has ended."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, f"the process has ended before: {what}"
        assert time.monotonic() < end, f"did not happen: {what}"
        time.sleep(0.03)


def kill(process: subprocess.Popen) -> None:
    """End a process, also one that was stopped."""
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
