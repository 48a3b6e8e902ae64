"""Ctrl-C while a command starts. A small module, so that a script can call it before it imports anything slow."""

from __future__ import annotations  # the doctor imports this under a Python that is too old, to say so

import os
import signal

INTERRUPTED = 130
"""Exit code"""
_before_leaving: list = []


def starting() -> None:
    """From now on Ctrl-C ends this process at once, with code 130. For a program only: a library leaves signals alone.

    An exception would not do: inside the import of an extension module it becomes an ImportError, or is lost. Where
    Ctrl-C is ignored (nohup, a background job) it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def interruptible() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt again; nothing changes unless `starting` was called."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, _interrupt)


def ending() -> None:
    """The work is done: from now on Ctrl-C is ignored, so that the exit code stays. Only after `starting`."""
    if signal.getsignal(signal.SIGINT) in (_leave, _interrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def at_leave(step) -> None:
    """Call `step()`, inside the signal handler, before Ctrl-C ends the process."""
    _before_leaving.append(step)


def _leave(*_) -> None:
    for step in _before_leaving:
        step()
    os._exit(INTERRUPTED)


def _interrupt(*_) -> None:
    raise KeyboardInterrupt
