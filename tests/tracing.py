"""Whether coverage is measured, in this process and in those that it starts."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ASKS = "COVERAGE_PROCESS_CONFIG"
"""With this environment variable a process that starts measures its coverage."""
_set_aside: str | None = None


@contextmanager
def untraced() -> Iterator[None]:
    """Nothing is measured."""
    global _set_aside
    if "coverage" not in sys.modules:
        yield
        return
    from coverage import Coverage

    _set_aside, stopped = os.environ.pop(ASKS, None), []
    while measuring := Coverage.current():  # a worker of xdist has two
        measuring.stop()
        stopped.append(measuring)
    try:
        yield
    finally:
        for measuring in reversed(stopped):
            measuring.start()
        if _set_aside is not None:
            os.environ[ASKS], _set_aside = _set_aside, None


@contextmanager
def traced() -> Iterator[None]:
    """The processes that are started here are measured, also within `untraced`."""
    if _set_aside is None:
        yield
        return
    os.environ[ASKS] = _set_aside
    try:
        yield
    finally:
        del os.environ[ASKS]


def trace() -> None:
    """Measure this process from here on, where its environment asks for it."""
    if ASKS in os.environ:
        from coverage import process_startup

        process_startup()
