"""How every command starts and ends: closed streams, undecodable names, Ctrl-C at any moment, errors in one line.

Standard library only. A script uses it like this:

    from crnn.cli.interrupt import interruptible, starting

    if __name__ == "__main__":
        starting()  # from here on Ctrl-C ends the process at once, with code 130

    import numpy as np  # imports that are slow, or that may be interrupted inside C code
    from crnn.cli.command import command, log_to_stderr

    @command
    def main(argv: list[str] | None = None) -> int:
        log_to_stderr(logging.INFO)  # in place of logging.basicConfig
        ...
        interruptible()  # from here on Ctrl-C raises KeyboardInterrupt: there is something to clean up
"""

from __future__ import annotations  # the doctor imports this under a Python that is too old, to say so

import functools
import logging
import os
import sys
from collections.abc import Callable

from crnn.cli.installed import renamed
from crnn.cli.interrupt import INTERRUPTED, ending
from crnn.errors import InputError
from crnn.files.printable import shown


def command(main: Callable[[list[str] | None], int]) -> Callable[..., int]:
    """Decorate a script's `main`: what it raises becomes one line on standard error and an exit code.

    InputError, OSError, MemoryError: 2. KeyboardInterrupt: 130. A closed pipe behind our output: 0. Standard output
    that cannot be written, or was closed: 2.
    """

    @functools.wraps(main)
    def wrapped(argv: list[str] | None = None) -> int:
        if not _streams_open():
            return _refused("standard output is closed; leave it open, or send it to /dev/null")
        try:
            code = _reported(main, argv)
            code = code if _flushed() else (code or 2)
            ending()
        except KeyboardInterrupt:  # in `main`, or while its end was being reported
            ending()
            _flushed()
            # Where it came while a string was executed, as when a dataclass is made, CPython remembers it and would end
            # the process by SIGINT instead of with our code. The next execution of a string makes it forget.
            exec("")  # noqa: S102 - nothing is executed
            code = INTERRUPTED
        return code

    return wrapped


def _reported(main: Callable[[list[str] | None], int], argv: list[str] | None) -> int:
    """The exit code of `main`, whose errors become one line each; KeyboardInterrupt passes."""
    try:
        return main(argv)
    except InputError as error:
        return _refused(error)
    except BrokenPipeError:  # `| head` has read enough
        return 0
    except OSError as error:
        return _refused(f"{error.filename or 'output'}: {error.strerror or error}")
    except MemoryError:
        return _refused("not enough memory; close other programs, or give a smaller input")


def log_to_stderr(level: int) -> None:
    """Log messages as plain lines on standard error; control characters in them are escaped."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


class _OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        return shown(super().formatMessage(record))


def _refused(problem: object) -> int:
    sys.stderr.write(f"error: {shown(renamed(str(problem)))}\n")
    return 2


def _streams_open() -> bool:
    """Make the standard streams safe to write to; False if standard output is closed.

    The next file that is opened must not get the number of a closed stream, and a character that the terminal cannot
    show must not end the program.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # os.open takes the lowest free number, which is this one
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return sys.stdout is not None


def _flushed() -> bool:
    """Flush standard output; if that fails, make sure that the interpreter does not try again when it ends."""
    try:
        sys.stdout.flush()
        return True
    except BrokenPipeError:
        problem = None
    except (OSError, ValueError) as error:  # ValueError: closed in the meantime
        problem = getattr(error, "strerror", None) or error
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    if problem is None:
        return True
    _refused(f"standard output: {problem}")
    return False
