"""LiteRT (ai-edge-litert), or its predecessor tflite-runtime if only that is installed."""

from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import numpy as np

from crnn.errors import InputError, require
from crnn.files.strict import read_bounded
from edge.runtimes import LARGEST_FILE, Contract, checked, tflite_check

if find_spec("ai_edge_litert"):
    from ai_edge_litert.interpreter import Interpreter
else:
    from tflite_runtime.interpreter import Interpreter


class TfliteModel:
    """A .tflite file in an interpreter on the CPU."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter, self._alone = interpreter, Lock()  # its tensors are those of one pass
        interpreter.allocate_tensors()
        ends = interpreter.get_input_details(), interpreter.get_output_details()
        n = tuple(map(len, ends))
        require(n == (1, 1), f"{n[0]} inputs and {n[1]} outputs; one of each is needed")
        (given,), (made,) = ends
        for end in (given, made):
            require(end["dtype"] is np.float32, f"{end['name']} is {end['dtype'].__name__}; float32 is needed")
        self._input, self._output = given["index"], made["index"]
        self.contract = Contract(
            given["name"],
            tuple(int(n) for n in given["shape"]),
            made["name"],
            tuple(int(n) for n in made["shape"]),
        )

    def run(self, x: np.ndarray) -> np.ndarray:
        # An LSTM's state is a variable that survives a run; every window starts from the initial state.
        with self._alone:
            try:
                self._interpreter.reset_all_variables()
                self._interpreter.set_tensor(self._input, x)
                self._interpreter.invoke()
            except (ValueError, RuntimeError) as error:
                raise InputError(f"LiteRT cannot run {self.contract} ({_first_line(error)})") from error
            made = self._interpreter.get_tensor(self._output)
        return checked(made, self.contract)


def load(path: Path, threads: int) -> TfliteModel:
    data = read_bounded(path, LARGEST_FILE)
    try:
        tflite_check.check(data)
    except ValueError as error:
        raise InputError(f"{path}: holds {error}; not run") from error
    try:
        return TfliteModel(Interpreter(model_content=data, num_threads=threads))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path}: LiteRT cannot load it ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
