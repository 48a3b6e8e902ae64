"""Folders of the recordings, and the names of the corpora in result files."""

import os
from collections.abc import Iterable
from pathlib import Path

from crnn.data.corpora import read_corpus
from crnn.data.protocols import corpora_of
from crnn.errors import require

RECONSTRUCTED = "crema_d_reconstructed"


def folders(protocol: str, fold: int) -> dict[str, str]:
    """Corpus -> folder below $SER_DATA. CREMA-D's reconstruction replaces the real corpus if that is missing."""
    return {corpus: str(_folder(corpus)) for corpus in corpora_of(protocol, fold)}


def _folder(corpus: str) -> Path:
    require("SER_DATA" in os.environ, "set SER_DATA to the folder that holds ravdess/, emodb/, crema_d/ ...")
    base = Path(os.environ["SER_DATA"]).resolve()
    found = base / corpus
    return base / RECONSTRUCTED if corpus == "crema_d" and not found.is_dir() else found


def sexes(names: Iterable[str]) -> dict[str, str | None]:
    """Speaker -> female, male or None, of some corpora."""
    return {u.speaker_id: u.sex for corpus in names for u in read_corpus(corpus, _folder(corpus)).utterances}


def title(folder: str | Path) -> str:
    """Name of a corpus in result files. Figures of the reconstruction must not look like figures of CREMA-D."""
    name = Path(folder).name
    return "CREMA-D (reconstructed)" if name == RECONSTRUCTED else name


def titles(data: dict[str, str]) -> str:
    return " + ".join(title(folder) for folder in data.values())
