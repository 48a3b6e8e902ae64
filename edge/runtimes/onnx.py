"""ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime

from crnn.errors import InputError, require
from crnn.files.strict import read_bounded
from edge.runtimes import LARGEST_FILE, Contract, checked, onnx_check


class OnnxModel:
    """An .onnx file in an ONNX Runtime session on the CPU."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        (given,), (made,) = session.get_inputs(), session.get_outputs()
        self.contract = Contract(given.name, tuple(given.shape), made.name, tuple(made.shape))

    def run(self, x: np.ndarray) -> np.ndarray:
        try:
            (made,) = self._session.run(None, {self.contract.input_name: x})
        except Exception as error:  # as in open_session
            raise InputError(f"ONNX Runtime cannot run {self.contract} ({_first_line(error)})") from error
        return checked(made, self.contract)


def load(path: Path, threads: int) -> OnnxModel:
    try:
        onnx_check.check(read_bounded(path, LARGEST_FILE))
    except ValueError as error:
        raise InputError(str(error) if isinstance(error, InputError) else f"{path}: holds {error}; not run") from error
    session = open_session(path, threads)
    ends = [*session.get_inputs(), *session.get_outputs()]
    n = (len(session.get_inputs()), len(session.get_outputs()))
    require(n == (1, 1), f"{path}: has {n[0]} inputs and {n[1]} outputs; one of each is needed")
    for end in ends:
        require(
            end.type == "tensor(float)"
            and isinstance(end.shape, list)
            and all(type(size) is int for size in end.shape),
            f"{path}: {end.name} is {end.type} of shape {end.shape}; float numbers of one shape are needed",
        )
    return OnnxModel(session)


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU that is idle between calls. Raises InputError for a file it cannot load."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Without this, idle worker threads spin between decisions and keep a small processor busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions derive directly from Exception
        raise InputError(f"{path}: ONNX Runtime cannot load it ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
