"""A bundle: a folder with everything a device needs (`bundle.json`, model files, `speakers.npz`, `golden.npz`)."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.bundle.manifest import (
        AROUSAL_SCHEMA,
        MANIFEST,
        PAIR_SCHEMA,
        SCHEMA,
        SPEAKERS,
        STREAM,
        WINDOW,
        WINDOW_SCHEMA,
        Beside,
        Manifest,
        ModelFiles,
    )
    from edge.bundle.reader import PRETRAINED, Bundle, build_recognizer
    from edge.bundle.writer import seal
else:

    def __getattr__(name: str) -> object:
        """Loads a public name on first use, so that `python -m edge.bundle` handles Ctrl-C before NumPy is imported."""
        if name in __all__:
            for module in ("manifest", "reader", "writer"):
                found = import_module(f"edge.bundle.{module}")
                if hasattr(found, name):
                    return getattr(found, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AROUSAL_SCHEMA",
    "MANIFEST",
    "PAIR_SCHEMA",
    "PRETRAINED",
    "SCHEMA",
    "SPEAKERS",
    "STREAM",
    "WINDOW",
    "WINDOW_SCHEMA",
    "Beside",
    "Bundle",
    "Manifest",
    "ModelFiles",
    "build_recognizer",
    "seal",
]
