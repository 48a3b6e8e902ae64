"""What can be known before the work starts: whether an optional package is there, whether a file can be written."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crnn.cli.installed import install
from crnn.errors import InputError, require


@contextmanager
def needed(what: str, extra: str) -> Iterator[None]:
    """Around an import: where it fails, InputError says what `what` needs and which extra, or extras, to install."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"{what} needs {error.name or error}: {install(extra)}") from error


def check_writable(path: Path, what: str) -> None:
    """Raises InputError, naming `what`, unless a file can be written at `path`; nothing is left there."""
    require(not path.is_dir(), f"{what}: is a folder; name a file in it")
    require(path.parent.is_dir(), f"{what}: no such folder {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):  # rights alone do not tell: the disk may be full or read-only
            pass
    except OSError as error:
        raise InputError(f"{what}: cannot be written ({error.strerror})") from error
