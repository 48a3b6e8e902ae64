"""Checks before the work starts: is an optional package installed, can a file be written?"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crnn.cli.installed import install
from crnn.errors import InputError, require


@contextmanager
def needed(what: str, extra: str) -> Iterator[None]:
    """Around an import: if it fails, raises InputError that says what `what` needs and which extras to install."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"{what} needs {error.name or error}: {install(extra)}") from error


def check_writable(path: Path, what: str) -> None:
    """Raises InputError, naming `what`, unless a file can be written at `path`; nothing is left there."""
    require(not path.is_dir(), f"{what}: is a folder; name a file in it")
    require(path.parent.is_dir(), f"{what}: no such folder {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):  # permissions are not enough: the disk may be full or read-only
            pass
    except OSError as error:
        raise InputError(f"{what}: cannot be written ({error.strerror})") from error
