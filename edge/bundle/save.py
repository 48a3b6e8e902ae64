"""Saves a bundle as a folder that the Hugging Face hub takes: what its manifest lists, weights beside them, a card, and
the licences that have to go with it."""

import shutil
from pathlib import Path

from crnn.files.atomic import new_folder
from edge.bundle.card import model_card
from edge.bundle.manifest import MANIFEST, read_manifest
from edge.bundle.notices import licences_of
from edge.bundle.reader import Bundle
from edge.bundle.weights_file import WEIGHTS, read_weights_file, write_weights_file

CARD = "README.md"
"""The name under which the hub shows it"""


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Copy an opened bundle to `folder`, which must not exist, whole or not at all.

    A float32 bundle brings its weights along (`weights.safetensors`), if they lie beside it. `README.md` is the model
    card, and beside it lie the licences that `edge.bundle.notices` knows of and those (`LICENSE...`) beside the bundle.
    Raises InputError if `folder` exists, a file changed since the bundle was opened, or the extra hub is missing.
    """
    card = model_card(bundle, Path(folder).resolve().name)  # before: a strange provenance is one line
    licences = licences_of(bundle)
    weights = read_weights_file(bundle.path, bundle.manifest) if (bundle.path / WEIGHTS).exists() else None
    with new_folder(folder) as part:
        for name in (MANIFEST, *bundle.manifest.files):
            shutil.copyfile(bundle.path / name, part / name, follow_symlinks=False)
        read_manifest(part)
        if weights is not None:
            write_weights_file(part, bundle.manifest, weights)
        (part / CARD).write_text(card, encoding="utf-8")
        for name, text in licences.items():
            (part / name).write_bytes(text)
