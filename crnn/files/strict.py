"""Files from outside, read in bounded time and memory. Standard library only."""

import errno
import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from crnn.errors import InputError, require
from crnn.files.printable import brief

DEEPEST = 32
"""Lists and objects within one another, in any file of this project"""
DIGITS = 20
"""Of a whole number"""


def open_regular(path: Path, follow: bool = True) -> int:
    """A descriptor of the regular file `path`, to be closed by the caller; `follow`: through a link as well.

    Raises InputError for anything else, OSError if it cannot be opened. A pipe in its place does not block.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{path}: is a link; put the file itself there") from error
        raise
    except ValueError as error:  # a NUL in the name
        raise InputError(f"{path}: no such file") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path}: is no regular file")
    return handle


def read_bounded(path: Path, most: int, follow: bool = True) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises as `open_regular`."""
    with os.fdopen(open_regular(path, follow), "rb") as file:
        data = file.read(most + 1)
    require(len(data) <= most, f"{path}: larger than {most} bytes, which no such file of this project is")
    return data


def file_hash(path: Path, follow: bool = True) -> str:
    """SHA-256 of a regular file's bytes, hexadecimal. Raises as `open_regular`."""
    with os.fdopen(open_regular(path, follow), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_json(data: bytes, where: str) -> Any:
    """Plain values from UTF-8 JSON, stricter than `json.loads`.

    Raises InputError, beginning with `where`, also for a name that occurs twice in an object, NaN and Infinity, a
    number too large for a float or with more than 20 digits, and nesting beyond 32 levels.
    """

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        values = dict(pairs)
        if len(values) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in values if names.count(name) > 1)
            raise ValueError(f"{brief(twice)} occurs twice")
        return values

    def constant(name: str) -> object:
        raise ValueError(f"{name} is no number")

    def whole(text: str) -> int:
        if len(text) > DIGITS:
            raise ValueError(f"a number of {len(text)} digits")
        return int(text)

    def real(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"{brief(text)} is too large")
        return value

    try:
        values = json.loads(
            data.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant, parse_int=whole, parse_float=real
        )
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or a trap
        raise InputError(f"{where}: not valid JSON ({error})") from error
    _check_depth(values, where)
    return values


def read_json(path: Path, most: int, follow: bool = True) -> dict:
    """A JSON object from a file. Raises InputError, naming it; OSError if it cannot be opened."""
    values = parse_json(read_bounded(path, most, follow), str(path))
    require(isinstance(values, dict), f"{path}: must hold named values")
    return values


def _check_depth(values: object, where: str) -> None:
    level = [values]
    for _ in range(DEEPEST + 1):
        inner: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = inner
    require(not level, f"{where}: nested more than {DEEPEST} levels deep")
