"""ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime

from crnn.config import InputError, require
from edge.runtimes import Contract


class OnnxModel:
    """An .onnx file in an ONNX Runtime session on the CPU."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        (given,), (made,) = session.get_inputs(), session.get_outputs()
        self.contract = Contract(given.name, tuple(given.shape), made.name, tuple(made.shape))

    def run(self, x: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self.contract.input_name: x})[0]


def load(path: Path, threads: int) -> OnnxModel:
    session = open_session(path, threads)
    n = (len(session.get_inputs()), len(session.get_outputs()))
    require(n == (1, 1), f"{path}: has {n[0]} inputs and {n[1]} outputs; one of each is needed")
    return OnnxModel(session)


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU that is idle between calls. Raises InputError for a file it cannot load."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle worker threads would spin between hops and keep a small processor busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own types, all derived straight from Exception
        raise InputError(f"{path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from error
