"""What leaves for the device.

Workstation (may use torch): compress drives shrink (wish, importance, prune, fine_tune, trials), exporting (export_*,
quantize_*), verify and assemble.
Device (standard library, NumPy and one runtime): bundle, runtimes, streaming, decision, smoothing, vad, silero,
evidence, utterances, sources, microphone (capture, capture_process, ring, input_watch), events, sinks, listening;
and what examines it: doctor, doctor_checks, machine, selftest.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.loop.recognition import EmotionModel, Recognition, open_model

__all__ = ["EmotionModel", "Recognition", "open_model"]

# ONNX Runtime's wheels report to Microsoft unless they are told not to before they are first imported (seen in 1.31.1,
# see its Privacy.md). Nothing here reports to anybody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str):
    """The public names, loaded when they are asked for: importing a part of the package must stay cheap."""
    if name in __all__:
        from edge.loop import recognition

        return getattr(recognition, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
