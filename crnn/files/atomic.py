"""Files that are written whole or not at all, on the file system they belong to."""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from crnn.errors import require


@contextmanager
def replacing(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; when the block ends without an error, it takes the place of `path`.

    An earlier file survives every failure: the new one is flushed to the disk before it is renamed, and the folder
    after it. On any exception the temporary file is removed; after a kill it stays (`is_unfinished`). An OSError of a
    full disk names `path`.

    Args:
        mode: permissions of the new file, before the process's umask.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb", opener=partial(os.open, mode=mode)) as file:  # noqa: PTH123 - Path.open takes no opener
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.filename is None or error.filename == str(
            part
        ):  # write() names no file, and the temporary name helps nobody
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):  # gone already, once it is renamed
            part.unlink()
    sync(path.parent)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that is renamed to `out` if the block succeeds, and otherwise removed.

    Raises InputError if `out` exists.
    """
    out = Path(out)
    require(not out.exists(), f"{out}: exists already; name another folder, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield part
        part.chmod(0o755)
        for file in part.rglob("*"):  # a power cut must not leave empty files under the final name
            sync(file)
        sync(part)
        part.rename(out)
        sync(out.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def is_unfinished(name: str, target: str) -> bool:
    """Whether `name` is a temporary file of `replacing` for a file whose name matches the pattern `target`. Versions
    before 0.2 left the process out of the name."""
    return re.fullmatch(rf"\.(?:{target})(?:\.\d+-[0-9a-f]{{8}})?\.part", name) is not None


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))  # a file name that is not UTF-8 may stand in the text


def sync(path: Path) -> None:
    """Make what a file holds, or renames in a folder, survive a power cut, where the file system can."""
    with suppress(OSError):  # some network and FUSE file systems cannot sync a folder
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
