"""LiteRT (ai-edge-litert), or its predecessor tflite-runtime where only that is installed."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from crnn.config import InputError
from edge.runtimes import Contract

if find_spec("ai_edge_litert"):
    from ai_edge_litert.interpreter import Interpreter
else:
    from tflite_runtime.interpreter import Interpreter


class TfliteModel:
    """A .tflite file in an interpreter on the CPU."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        interpreter.allocate_tensors()
        (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
        self._input, self._output = given["index"], made["index"]
        self.contract = Contract(
            given["name"],
            tuple(int(n) for n in given["shape"]),
            made["name"],
            tuple(int(n) for n in made["shape"]),
        )

    def run(self, x: np.ndarray) -> np.ndarray:
        # An LSTM's state is a variable of the file, kept from run to run; every window starts from none.
        self._interpreter.reset_all_variables()
        self._interpreter.set_tensor(self._input, x)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)


def load(path: Path, threads: int) -> TfliteModel:
    try:
        return TfliteModel(Interpreter(model_path=str(path), num_threads=threads))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path}: LiteRT cannot load it ({str(error).splitlines()[0]})") from error
