"""uvicorn until a signal, and the folder for what is uploaded. The local page is served by it too."""

import importlib.util
import logging
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from crnn.cli.installed import install
from crnn.cli.interrupt import at_leave, interruptible
from crnn.errors import require

if TYPE_CHECKING:
    from uvicorn import Config

ENDS = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 2
"""s that open requests get to finish when the server ends"""
STALLED_SECONDS = 30.0
"""s for which a peer may take none of what was sent"""


@contextmanager
def private_folder(prefix: str) -> Iterator[str]:
    """A folder that only this user can read, for all temporary files of this process; removed with all that is in it,
    also if Ctrl-C or SIGTERM comes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again, before the folder is removed
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        at_leave(partial(shutil.rmtree, folder, ignore_errors=True))
        before, tempfile.tempdir = tempfile.tempdir, folder
        try:
            yield folder
        finally:
            tempfile.tempdir = before


def serving(what: str, needed: Sequence[str], extra: str, prefix: str, serve: Callable[[str], None]) -> int:
    """The exit code of a server, `what`, that `serve` runs with its private folder until a signal.

    Raises InputError, naming the extra to install, if one of the modules `needed` is missing.
    """
    try:
        missing = [name for name in needed if importlib.util.find_spec(name) is None]
        require(not missing, f"{what} needs {', '.join(missing)}: {install(extra)}")
        with private_folder(prefix) as folder:
            serve(folder)
    except KeyboardInterrupt:
        return 0
    return 0


def settings_of(app: Any, listening: socket.socket, **settings: Any) -> "Config":
    """uvicorn's settings; connections of `listening` whose peers take nothing for long are cut off by the system."""
    from uvicorn import Config

    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; otherwise unsent bytes keep a connection open that we have closed
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * STALLED_SECONDS))
    config = Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        **settings,
    )
    logging.getLogger("uvicorn.error").addFilter(_of_the_client)  # after it, because it sets up its loggers
    return config


def _of_the_client(record: logging.LogRecord) -> bool:
    """A text message that is no UTF-8 is a client's fault, and one line; uvicorn logs a traceback."""
    if record.exc_info and isinstance(record.exc_info[1], UnicodeDecodeError):
        record.exc_info = record.exc_text = None
    return True


def run(app: Any, listening: socket.socket, **settings: Any) -> None:
    """Serve `app` on a listening socket until a signal. `settings`: of uvicorn.Config."""
    import uvicorn  # reads the environment when it is imported

    config = settings_of(app, listening, **settings)

    class Server(uvicorn.Server):
        async def serve(self, sockets: list[socket.socket] | None = None) -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
            await super().serve(sockets)

    interruptible()
    # What a signal raises inside the constructor of the event loop would be printed as a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    Server(config).run(sockets=[listening])
