"""A bundle is all a device needs: a folder with `bundle.json`, the model files, `speakers.npz` and `golden.npz`."""

from edge.bundle.manifest import MANIFEST, SCHEMA, SPEAKERS, Manifest, ModelFiles, file_hash
from edge.bundle.reader import PRETRAINED, Bundle, build_recognizer
from edge.bundle.writer import new_folder, seal

__all__ = [
    "MANIFEST",
    "PRETRAINED",
    "SCHEMA",
    "SPEAKERS",
    "Bundle",
    "Manifest",
    "ModelFiles",
    "build_recognizer",
    "file_hash",
    "new_folder",
    "seal",
]
