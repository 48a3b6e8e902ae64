"""Inference runtimes with one interface. Names of runtimes appear only here and in their own files."""

import importlib
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.files.strict import read_bounded


@dataclass(frozen=True)
class Contract:
    """Names and shapes of the one input and the one output of a model file; all float32."""

    input_name: str
    input_shape: tuple[int, ...]
    output_name: str
    output_shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.input_name} {self.input_shape} -> {self.output_name} {self.output_shape}"


LARGEST_FILE = 64 * 2**20
"""Bytes of a model file"""
MOST_THREADS = 256
"""Of one model: with 99,999 ONNX Runtime does not return"""


def checked(made: np.ndarray, contract: Contract) -> np.ndarray:
    """A model's output. Raises InputError if its shape is wrong or it contains NaN or infinite values."""
    require(
        made.shape == contract.output_shape and bool(np.isfinite(made).all()),
        f"{contract}: the model gave shape {made.shape}, or NaN or infinite values; make the bundle again",
    )
    return made


class Model(Protocol):
    """A loaded model file. Several streams, in several threads, may share it."""

    contract: Contract

    def run(self, x: np.ndarray) -> np.ndarray:
        """One pass: float32 of the contract's input shape -> float32 of its output shape. Nothing of it is stored."""


@dataclass(frozen=True)
class Runtime:
    """Code, packages and files of a runtime."""

    module: str
    packages: tuple[str, ...]
    """Any one of these suffices; the first that is installed is used"""
    suffix: str
    extra: str
    """The extra of this project that installs it"""
    schemes: tuple[str, ...]
    """Schemes that its files can have, float32 first"""
    int8: str
    """The scheme that "int8" means: the smallest accurate one whose answers are within 0.001 on every processor"""
    exporter: str
    """Module that makes its files, on the workstation"""
    export_extra: str
    """The extra of this project that the exporter needs"""


REGISTRY = {
    "onnx": Runtime(
        "edge.runtimes.onnx",
        ("onnxruntime",),
        ".onnx",
        "device",
        ("float32", "float16", "dynamic_int8", "static_int8"),
        "static_int8",
        "edge.export.onnx_export",
        "export",
    ),
    "tflite": Runtime(
        "edge.runtimes.tflite",
        ("ai_edge_litert", "tflite_runtime"),
        ".tflite",
        "litert",
        ("float32", "float16", "dynamic_int8"),
        "float16",
        "edge.export.tflite_export",
        "tflite",
    ),
}
SCHEMES = tuple(dict.fromkeys(scheme for runtime in REGISTRY.values() for scheme in runtime.schemes))
WEIGHT_INT8 = "weight_int8"
"""Scheme of larger bundles (`edge.export.large`): weights stored as int8, arithmetic in float32"""
INT8 = "int8"
"""Stands for the scheme that `Runtime.int8` names, which for TFLite is float16"""


def scheme_of(name: str, wanted: str) -> str:
    """The scheme of runtime `name` that `wanted`, a scheme or "int8", asks for.

    Raises InputError if the runtime's files cannot be made with it.

    >>> scheme_of("onnx", "int8"), scheme_of("tflite", "int8")
    ('static_int8', 'float16')
    """
    runtime = REGISTRY[name]
    scheme = runtime.int8 if wanted == INT8 else wanted
    require(
        scheme in runtime.schemes,
        f"--scheme {wanted}: {name} files can be {INT8}, {', '.join(runtime.schemes)}; leave {name} out of --formats, "
        "or give one of these",
    )
    return scheme


def package(name: str) -> str | None:
    """The installed package of the runtime `name`; None if there is none or the runtime is unknown. Imports nothing."""
    packages = REGISTRY[name].packages if name in REGISTRY else ()
    return next((package for package in packages if find_spec(package)), None)


def installed(name: str) -> bool:
    """Whether the runtime `name` can be used here."""
    return package(name) is not None


def constants(name: str, path: Path) -> dict[str, int]:
    """Type -> bytes of the constants in a model file of the runtime `name`, most first. The runtime need not be there.

    Raises InputError for a file that cannot be read, or that is not loaded either.
    """
    data = read_bounded(path, LARGEST_FILE)
    reader = importlib.import_module(f"{REGISTRY[name].module}_check")
    try:
        reader.check(data)
        return dict(reader.constants(data))
    except ValueError as error:
        raise InputError(f"{path}: holds {error}; not run") from error


def fitting(name: str, scheme: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the weights of encoder and head can be in files of the runtime `name` and this scheme, as `weights_of` says.

    >>> fitting("onnx", "static_int8"), fitting("tflite", "float16")
    ((('int8', 'float32'), ('int8',)), (('float16',), ('float16',)))
    """
    if scheme == WEIGHT_INT8:
        return ("int8",), ("float32",)
    kind = "int8" if "int8" in scheme else scheme
    if name != "onnx" or kind != "int8":
        return (kind,), (kind,)
    # ONNX's dynamic_int8 leaves convolutions as they are, and static_int8 the first of them, which may be the only one.
    return (("float32",) if scheme == "dynamic_int8" else ("int8", "float32")), ("int8",)


def weights_of(types: Collection[str]) -> str:
    """What the weights of a model file are, whose constants have these types. Scales and biases are float32 in each."""
    return next((kind for kind in ("int8", "float16") if kind in types), "float32")


def load(name: str, path: Path, threads: int = 1) -> Model:
    """Load a model file under the runtime `name` with `threads` threads.

    Raises InputError for an unknown or absent runtime, naming what to install, and for a file it cannot load.
    """
    require(name in REGISTRY, f"unknown runtime {name}; known: {', '.join(REGISTRY)}")
    runtime = REGISTRY[name]
    require(
        installed(name),
        f"runtime {name} is not installed: {install(runtime.extra)} (or {' or '.join(runtime.packages)})",
    )
    require(1 <= threads <= MOST_THREADS, f"threads is {threads}; give at least 1, at most {MOST_THREADS}")
    return importlib.import_module(runtime.module).load(Path(path), threads)
