"""SIGTERM and SIGHUP end a command as Ctrl-C does: it cleans up and leaves no process behind."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from crnn.cli.interrupt import interruptible

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Termination:
    """After `begin`, the first SIGTERM or SIGHUP raises KeyboardInterrupt; a second one ends the process."""

    def __init__(self) -> None:
        self._number = signal.SIGINT

    def begin(self) -> None:
        """From now on there is something to clean up; Ctrl-C raises as well (`crnn.cli.interrupt`).

        A signal that is ignored (nohup) or handled already stays so. Call it in the main thread of a program, after its
        imports: an exception inside the import of an extension module is replaced by another, or lost.
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
        """What ended the command, to be reported after a KeyboardInterrupt."""
        return "interrupted" if self._number == signal.SIGINT else f"ended by {self._number.name}"

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it."""
        return 128 + self._number


@contextmanager
def starting_workers() -> Iterator[None]:
    """Delay signals while worker processes start, until the parent can end them.

    The workers inherit a blocked SIGINT and SIGHUP: a terminal sends these to all its processes, the parent answers.
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
