"""Runs Python in a child process, so that a package that crashes does not end the doctor."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 600  # an emulated machine is slow; a real one answers in seconds


@dataclass(frozen=True)
class Ended:
    """How a process of Python ended."""

    code: int | None
    """Exit code; negative: the signal that killed it; None: did not end in time"""
    stdout: str
    stderr: str

    @property
    def how(self) -> str:
        """In words: the signal that killed it, or its last line of errors."""
        if self.code is None:
            return f"did not end within {TIMEOUT_SECONDS} s"
        if self.code < 0:
            name = signal.Signals(-self.code).name
            return {"SIGILL": "illegal instruction (SIGILL)"}.get(name, f"killed by {name}")
        return (self.stderr.strip().splitlines() or [f"exit code {self.code}"])[-1]


def python(*arguments: str) -> Ended:
    """Run this Python with `arguments` in a child process that can import this project."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Ended(None, "", "")
    return Ended(done.returncode, done.stdout, done.stderr)
