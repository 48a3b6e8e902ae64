"""Writes bundles, completely or not at all."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from crnn.renamed_keys import with_schema_4_keys
from edge.bundle import golden
from edge.bundle.manifest import MANIFEST, SCHEMA, STREAM, WINDOW_SCHEMA, Manifest, list_files
from edge.bundle.reader import build_recognizer
from edge.stream.recognizer import StreamingRecognizer


def seal(folder: Path, manifest: Manifest, float32: StreamingRecognizer) -> Manifest:
    """Turn a folder of model files into a bundle: write golden values and manifest.

    Returns the manifest with the hash of every file.

    `float32`: the same model before export and quantization (edge.export.verify.torch_recognizer).
    """
    made = {runtime: build_recognizer(folder, manifest, runtime, threads=1) for runtime in manifest.models}
    golden.write(folder, manifest.labels, float32, made)
    manifest = replace(manifest, files=list_files(folder))
    values = with_schema_4_keys(asdict(manifest))
    if manifest.schema in (SCHEMA, WINDOW_SCHEMA):  # the version before reads 4 too
        del values["arousal"]
    if manifest.kind == STREAM:
        del values["kind"]
    if manifest.beside is None:
        del values["beside"]
    (folder / MANIFEST).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return manifest
