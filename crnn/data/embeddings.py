"""What a frozen encoder makes of recordings, one vector or many steps each: computed once and memory-mapped."""

import hashlib
import json
import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn.data.array_store import Kind, open_store
from crnn.data.cache import AudioCache, default_folder

log = logging.getLogger(__name__)

PIECE = 256
"""Recordings per file: an interrupted computation loses at most so many"""

Embed = Callable[[np.ndarray], np.ndarray]
"""`waveform (time,)` float32 -> `(width,)` float32"""


@dataclass(frozen=True)
class Embeddings:
    """A vector per recording."""

    rows: dict[str, np.ndarray]
    """Utterance name -> `(width,)` float32, read-only, memory-mapped"""

    def of(self, names: Sequence[str]) -> np.ndarray:
        """`(n, width)` float32, in the order of `names`."""
        return np.stack([self.rows[name] for name in names])


def open_embeddings(
    cache: AudioCache, corpora: Iterable[str], key: str, width: int, embed: Embed, folder: Path | None = None
) -> Embeddings:
    """Open the embeddings of all recordings of these corpora, computing those that are missing.

    `key` names the encoder and its settings. Stored vectors belong to a recording's samples, not to its name, so folds,
    seeds and moved folders share them. Raises what `embed` raises.
    """
    kind = Kind("f32", "<f4", (width,))
    found = _open(cache, corpora, "embeddings", [key, width], kind, lambda waveform: embed(waveform)[None], folder)
    return Embeddings({name: rows[0] for name, rows in found.items()})


@dataclass(frozen=True)
class Steps:
    """The steps of every recording; for training, its only copy."""

    found: dict[str, np.ndarray]
    """Utterance name -> `(steps, layers, width)` float16, read-only, memory-mapped"""

    def count(self, name: str) -> int:
        return 1

    def rows(self, name: str, copy: int = 0) -> np.ndarray:
        return self.found[name]


def open_steps(
    cache: AudioCache,
    corpora: Iterable[str],
    key: str,
    shape: tuple[int, int],
    steps: Embed,
    folder: Path | None = None,
) -> Steps:
    """The same for `steps`: `waveform (time,)` -> `(steps, *shape)` float16; `shape` is layers and width."""
    kind = Kind("f16", "<f2", shape)
    return Steps(_open(cache, corpora, "steps", [key, *shape], kind, steps, folder))


def _open(
    cache: AudioCache, corpora: Iterable[str], what: str, key: list, kind: Kind, make: Embed, folder: Path | None
) -> dict[str, np.ndarray]:
    """Utterance name -> its rows, as `make` gives them for a waveform."""
    rows: dict[str, np.ndarray] = {}
    for corpus in corpora:
        digests = {name: digest for name, digest in cache.hashes.items() if name.startswith(f"{corpus}/")}
        rows |= open_rows(
            digests, f"{corpus}: {what}", [what, *key], kind, lambda name: make(np.array(cache.waveform(name))), folder
        )
    return rows


def open_rows(
    digests: Mapping[str, str],
    label: str,
    key: list,
    kind: Kind,
    make: Callable[[str], np.ndarray],
    folder: Path | None = None,
) -> dict[str, np.ndarray]:
    """Name -> its rows, read-only and memory-mapped; what is not stored yet is made, once per digest.

    `digests`: name -> hash of the content that its rows belong to; `make`: a name -> rows. The first of `key` begins
    the files' names. Raises what `make` raises.
    """
    what, *settings = key
    folder = folder or default_folder()
    some_name = {digests[name]: name for name in sorted(digests)}
    known = sorted(some_name)
    found: dict[str, np.ndarray] = {}
    for start in range(0, len(known), PIECE):
        piece = known[start : start + PIECE]
        stem = f"{what}-{hashlib.sha256(json.dumps([*settings, piece]).encode()).hexdigest()[:24]}"
        progress = f"{start + len(piece)} of {len(known)}"

        def computed(wanted: Sequence[str], progress: str = progress) -> Generator[list[np.ndarray], None, None]:
            log.info("%s by a pretrained model: %s", label, progress)
            for digest in wanted:
                yield [make(some_name[digest])]

        store = open_store(folder, stem, kind, piece, computed)
        found |= {digest: store.rows[first : first + n] for digest, ((first, n, _),) in store.spans.items()}
    return {name: found[digest] for name, digest in digests.items()}
