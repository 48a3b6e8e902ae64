"""Recognition on the device, and the tools that prepare a trained model for it.

Device half (standard library, NumPy and one runtime; no torch), in the order in which samples pass through it:
audio/ (microphone, files, voice activity), stream/ (the exact stream and its decisions), loop/ (utterances and events),
sinks/ (terminal, file, MQTT). Around it: runtimes/, bundle/, enroll/, doctor/, feedback/, page/, preflight.py.
Workstation half (may use torch): prune/, export/, evaluate/.
pretrained/ holds the bundles that ship.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.loop.recognition import EmotionModel, Recognition, open_model
else:

    def __getattr__(name: str) -> object:
        """The public names, loaded on first use: importing a part of the package must be fast."""
        if name in __all__:
            from edge.loop import recognition

            return getattr(recognition, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["EmotionModel", "Recognition", "open_model"]

# ONNX Runtime's wheels send telemetry to Microsoft unless this is set before they are first imported (seen in 1.31.1,
# see its Privacy.md). This project sends no telemetry.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# huggingface_hub adds versions, and the program that runs it, to its requests, and makes one more to find that out.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
