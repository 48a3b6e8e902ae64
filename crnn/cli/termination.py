"""SIGTERM and SIGHUP end a command as Ctrl-C does: what is open is put in order and no process is left behind."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from crnn.cli.interrupt import interruptible

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Termination:
    """After `begin`, the first SIGTERM or SIGHUP raises KeyboardInterrupt; a second one ends it all at once."""

    def __init__(self) -> None:
        self._number = signal.SIGINT

    def begin(self) -> None:
        """There is something to put in order from now on; Ctrl-C raises as well (`crnn.cli.interrupt`).

        A signal that is ignored (nohup) or handled already stays so. Only in the main thread of a program, and after
        its imports: an exception inside the import of an extension module becomes another, or is swallowed.
        """
        interruptible()
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._end)

    def _end(self, number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._number = signal.Signals(number)
        raise KeyboardInterrupt

    @property
    def reason(self) -> str:
        """What to tell after a KeyboardInterrupt."""
        return "interrupted" if self._number == signal.SIGINT else f"ended by {self._number.name}"

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as a shell tells it."""
        return 128 + self._number


@contextmanager
def starting_workers() -> Iterator[None]:
    """Around the start of worker processes: a signal waits until they are registered with whoever has to end them.

    The workers inherit a blocked SIGINT and SIGHUP: what a terminal sends to all of its processes the parent answers.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    came: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: came.append(number)) for number in STOPPING}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for arrived in came:
            signal.raise_signal(arrived)
