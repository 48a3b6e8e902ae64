"""A wish to end the loop, which also wakes a source that waits."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """Becomes true once someone wants the loop to end; `also` is what wakes a source that waits."""

    def __init__(self, also: Callable[[], None] | None = None) -> None:
        self._also, self._wanted = also, False

    def __bool__(self) -> bool:
        return self._wanted

    def __call__(self, *_) -> None:
        """Ask for it. A second time, for whatever does not listen: raises KeyboardInterrupt."""
        if self._wanted:
            raise KeyboardInterrupt
        self._wanted = True
        if self._also is not None:
            self._also()


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """While this lasts, Ctrl-C and SIGTERM ask for the end and do not break off what is being computed."""
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
