"""Writes bundles, completely or not at all."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from crnn.errors import require
from crnn.files.atomic import sync
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


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that is renamed to `out` if the block succeeds, and otherwise removed.

    Raises InputError if `out` exists.
    """
    out = Path(out)
    require(not out.exists(), f"{out}: exists already; name another folder, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield part
        part.chmod(0o755)
        for file in part.rglob("*"):  # a power cut must not leave empty files under the final name
            sync(file)
        sync(part)
        part.rename(out)
        sync(out.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
