"""Plain values, as a JSON or YAML file gives them, made into frozen dataclasses; whatever does not fit is named."""

from __future__ import annotations  # the doctor imports this under a Python that is too old, to say so

import dataclasses
import math
import types
import typing
from typing import Any, TypeVar

from crnn.errors import require
from crnn.files.printable import brief

T = TypeVar("T")
LARGEST = 2**53
"""Of a whole number in a file: beyond it a float, and JavaScript, lose digits"""


def require_finite(settings: Any, name: str) -> None:
    """Raises InputError for a setting of the dataclass `settings`, at any depth, that is NaN or infinite."""
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        label = f"{name}.{item.name}" if name else item.name
        if dataclasses.is_dataclass(value):
            require_finite(value, label)
        elif isinstance(value, float):
            require(math.isfinite(value), f"{label} is {value}; give a finite number")


def from_dict(cls: type[T], values: Any, where: str = "") -> T:
    """Build the dataclass `cls` from plain JSON values.

    Raises InputError, naming the key, for an unknown key, a missing key or a value of another type, for NaN, an
    infinite value and a whole number beyond 2**53.

    >>> from crnn.config import WindowConfig
    >>> from_dict(WindowConfig, {"window_seconds": 2.0}).window_seconds
    2.0
    >>> from_dict(WindowConfig, {"windw_seconds": 2.0})
    Traceback (most recent call last):
    ...
    crnn.errors.InputError: unknown key windw_seconds; known: window_seconds, interval_seconds
    """
    label = where or cls.__name__
    require(isinstance(values, dict), f"{label} must hold named values, not {brief(values)}")
    described: Any = cls  # a dataclass, which `type[T]` cannot say
    fields = {item.name: item for item in dataclasses.fields(described)}
    hints = typing.get_type_hints(cls)
    prefix = f"{where}." if where else ""
    for key in values:
        require(key in fields, f"unknown key {prefix}{brief(key).strip(chr(39))}; known: {', '.join(fields)}")
    arguments = {}
    for key, value in values.items():
        arguments[key] = _typed(hints[key], value, f"{prefix}{key}")
    missing = [
        key
        for key, item in fields.items()
        if key not in values and item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    ]
    require(not missing, f"{label} lacks {', '.join(missing)}")
    return cls(**arguments)


def _typed(kind: Any, value: Any, label: str) -> Any:
    """`value` as the type `kind`: bool, int, float, str, dict, tuple of one of them, a Literal, a dataclass, or one of
    these or None."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return from_dict(kind, value, label)
    origin = typing.get_origin(kind)
    if origin is types.UnionType:
        return None if value is None else _typed(typing.get_args(kind)[0], value, label)
    if origin is tuple:
        require(isinstance(value, (list, tuple)), f"{label} must be a list, not {brief(value)}")
        inner = typing.get_args(kind)[0]
        return tuple(_typed(inner, item, label) for item in value)
    if origin is typing.Literal:
        known = typing.get_args(kind)
        # A list has no hash and True equals 1: compare type and value.
        require(
            any(type(value) is type(k) and value == k for k in known), f"{label} is {brief(value)}; give one of {known}"
        )
        return value
    whole = type(value) is int
    if whole:
        require(abs(value) <= LARGEST, f"{label} is {brief(value)}; give a whole number of at most 2**53")
    if kind is float and whole:
        return float(value)
    require(type(value) is kind, f"{label} is {brief(value)}; give a value of type {getattr(kind, '__name__', kind)}")
    require(kind is not float or math.isfinite(value), f"{label} is {value}; give a finite number")
    return value
