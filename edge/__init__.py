"""Everything that runs on a device, and everything that makes what it runs.

Device half, lower rooms first (standard library, NumPy and one runtime): runtimes, audio, stream, bundle, loop,
sinks, enroll, doctor, feedback, page; `preflight` checks extras and paths.
Workstation half (may use torch): prune, export, evaluate. `pretrained/` holds the bundles that ship.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.loop.recognition import EmotionModel, Recognition, open_model

__all__ = ["EmotionModel", "Recognition", "open_model"]

# ONNX Runtime's wheels send usage data to Microsoft unless this is set before their first import (seen in 1.31.1, see
# its Privacy.md). Nothing here sends data to anybody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str):
    """The public names, loaded when they are asked for: importing a part of the package must stay cheap."""
    if name in __all__:
        from edge.loop import recognition

        return getattr(recognition, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
