"""Arrays from an .npz file that others may have written: nothing is unpickled, nothing allocated on a header's word."""

import io
import re
import struct
import sys
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from crnn.errors import InputError, require
from crnn.files.strict import read_bounded

MOST_BYTES = 16 * 2**20
"""Of a file of a bundle, and of all its arrays together"""
MOST_ARRAYS = 64
NAME = re.compile(r"[A-Za-z0-9_]{1,60}\.npy")
KINDS = "iufU"
"""Whole and floating-point numbers, and text"""
HEADER_BYTES = 1000


def read_arrays(
    path: Path, follow: bool = True, most: int = MOST_BYTES, remedy: str = "copy the bundle again"
) -> dict[str, np.ndarray]:
    """Name -> array, C order, this machine's byte order. Raises InputError, naming the file, for whatever
    `np.savez` would not write of plain arrays, for NaN and infinite values, and for more than `most` bytes.

    Args:
        follow: whether the file may be a link.
        remedy: what the user can do about a file that cannot be read as arrays.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(read_bounded(path, most, follow))) as file:
            entries = file.infolist()
            require(
                len(entries) <= MOST_ARRAYS, f"{path}: holds {len(entries)} arrays; at most {MOST_ARRAYS} belong in it"
            )
            names = [entry.filename for entry in entries]
            strange = [name for name in names if not NAME.fullmatch(name) or names.count(name) > 1]
            require(not strange, f"{path}: holds {strange[:1]}, which is no array's name, or there twice")
            left, arrays = most, {}
            for entry in entries:
                with file.open(entry) as member:
                    data = member.read(left + 1)  # what the directory says of its size may be a lie
                left -= len(data)
                require(left >= 0, f"{path}: unpacks to more than {most} bytes")
                arrays[entry.filename.removesuffix(".npy")] = _array(data)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    # zipfile raises for damaged files, beside its own error: NotImplementedError for an unknown compression,
    # RuntimeError for encryption, and what struct and zlib raise.
    except (
        ValueError,
        zipfile.BadZipFile,
        struct.error,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        LookupError,
    ) as error:
        raise InputError(f"{path}: cannot be read as arrays ({error}); {remedy}") from error
    return arrays


def _array(data: bytes) -> np.ndarray:
    """One .npy file. Raises ValueError."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the .npy format")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read_header(file, max_header_size=HEADER_BYTES)
    except (TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:  # a Python literal
        raise ValueError("its header cannot be read") from error
    if dtype.kind not in KINDS or len(shape) > 4 or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"an array of {dtype} and shape {shape}")
    size = dtype.itemsize
    for length in shape:
        size *= length
    body = data[file.tell() :]
    if dtype.itemsize == 0 or size != len(body):
        raise ValueError(f"an array of {dtype} and shape {shape} in {len(body)} bytes")
    array = np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")
    array = array.astype(dtype.newbyteorder("="), order="C")
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("NaN or infinite values")
    # NumPy does not check them when it reads; a text made of them raises SystemError.
    if dtype.kind == "U" and (np.frombuffer(array.tobytes(), np.uint32) > sys.maxunicode).any():
        raise ValueError("text with numbers that are no characters")
    return array
