"""Whether a file can be written: better known before the work than after it."""

import tempfile
from pathlib import Path

from crnn.config import InputError, require


def check_writable(path: Path, what: str) -> None:
    """Raises InputError, naming `what`, unless a file can be written at `path`; nothing is left there."""
    require(not path.is_dir(), f"{what}: is a folder; name a file in it")
    require(path.parent.is_dir(), f"{what}: no such folder {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):  # rights alone do not tell: the disk may be full or read-only
            pass
    except OSError as error:
        raise InputError(f"{what}: cannot be written ({error.strerror})") from error
