"""Folders of pretrained speech encoders: which kinds are read, and what reads them.

Another kind of folder is a file that reads it, a line in `READERS`, and nothing else (docs/systems.md).
"""

from collections.abc import Callable
from pathlib import Path

from crnn.errors import InputError
from crnn.models.emotion2vec import emotion2vec_folder
from crnn.models.hidden_states import EncoderFolder, transformers_folder

READERS: dict[str, Callable[[Path], EncoderFolder]] = {
    "config.json": transformers_folder,
    "config.yaml": emotion2vec_folder,
}
"""File that describes a folder -> what reads it; of a folder that has several, the first"""


def read_folder(folder: Path) -> EncoderFolder:
    """What a folder says of its encoder, without loading its weights or the library that runs it.

    Raises InputError for a folder of no kind, or one that lacks something.
    """
    for name, read in READERS.items():
        if (folder / name).is_file():
            return read(folder)
    raise InputError(
        f"{folder}: no speech encoder; give a folder with config.json and model.safetensors (transformers), or "
        "config.yaml and model.pt (emotion2vec)"
    )
