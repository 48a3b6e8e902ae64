"""Dialogues: turns in order, each with the embedding that a trained model makes of it (`edge.embed`). No torch."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn.data.tables import Row, csv_rows, read_text
from crnn.errors import InputError, require
from crnn.files.npz import read_arrays
from crnn.files.printable import brief

COLUMNS = ("path", "dialogue", "turn")
NEEDED = ("embeddings", "path", "corpus", "speaker", "emotion")
"""Arrays of the file of embeddings"""
LARGEST = 2**30
"""Bytes of that file, and of all its arrays together"""
WRITE_AGAIN = "write it again by python -m edge.embed --out"


@dataclass(frozen=True)
class Turns:
    """The turns of all dialogues, dialogue by dialogue, each in its order."""

    vectors: np.ndarray
    """`(n, width)` float32"""
    emotions: tuple[str, ...]
    speakers: tuple[str, ...]
    dialogues: tuple[str, ...]

    def predicted(self, context: int) -> list[tuple[int, int]]:
        """For every turn but the first of each dialogue: the place of the first of the at most `context` turns before
        it, and its own place."""
        found, first = [], 0
        for place, dialogue in enumerate(self.dialogues):
            if place and dialogue != self.dialogues[place - 1]:
                first = place
            if place > first:
                found.append((max(first, place - context), place))
        return found

    def groups(self) -> np.ndarray:
        """`(n,)` int: dialogues that share a speaker, directly or through others, have one number."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        _, dialogues = np.unique(self.dialogues, return_inverse=True)
        _, speakers = np.unique(self.speakers, return_inverse=True)
        size = int(dialogues.max()) + int(speakers.max()) + 2
        edges = coo_array((np.ones(len(dialogues)), (dialogues, dialogues.max() + 1 + speakers)), shape=(size, size))
        return connected_components(edges, directed=False)[1][dialogues]


def read_turns(embeddings: Path, listed: Path, problems: list[str]) -> Turns:
    """The clips of a file of embeddings (.npz) that the list, a csv with the columns path, dialogue and turn (a whole
    number), puts into dialogues. A relative path is one from the list's folder.

    Rows that cannot be used become lines in `problems`. Raises InputError if a file cannot be read, or no dialogue has
    two turns.
    """
    arrays = read_arrays(embeddings, most=LARGEST, remedy=WRITE_AGAIN)
    lacking = [name for name in NEEDED if name not in arrays]
    require(not lacking, f"{embeddings}: lacks {', '.join(lacking)}; {WRITE_AGAIN}")
    paths, vectors = arrays["path"], arrays["embeddings"]
    fit = all(arrays[name].dtype.kind == "U" and arrays[name].shape == vectors.shape[:1] for name in NEEDED[1:])
    require(
        fit and vectors.ndim == 2 and vectors.dtype == np.float32 and vectors.shape[1] > 0,
        f"{embeddings}: its arrays are not those of edge.embed; {WRITE_AGAIN}",
    )
    place_of = {str(Path(str(path)).resolve()): place for place, path in enumerate(paths)}

    try:
        text = read_text(listed)
    except OSError as error:
        raise InputError(f"{listed}: cannot be read ({error.strerror or error})") from error
    turns: dict[tuple[str, int], int] = {}
    first: dict[int, str] = {}
    for row in csv_rows(listed, text, problems):
        where = row[0]
        try:
            key, path = _turn(row, listed)
            require(key not in turns, f"{where}: turn {key[1]} of dialogue {brief(key[0])} stands there twice")
            require(path in place_of, f"{where}: {brief(row[1]['path'])} is not in {embeddings}")
            earlier = first.setdefault(place_of[path], where)
            require(earlier is where, f"{where}: {brief(row[1]['path'])} is one turn, and stands in {earlier} already")
        except InputError as error:
            problems.append(str(error))
            continue
        turns[key] = place_of[path]
    lengths = Counter(dialogue for dialogue, _ in turns)
    order = [place for (dialogue, _), place in sorted(turns.items()) if lengths[dialogue] > 1]
    dialogues = tuple(dialogue for dialogue, _ in sorted(turns) if lengths[dialogue] > 1)
    require(len(order) > 0, f"{listed}: no dialogue has two turns{_first(problems)}")
    speakers = tuple(f"{arrays['corpus'][place]}/{arrays['speaker'][place]}" for place in order)
    emotions = tuple(str(arrays["emotion"][place]) for place in order)
    return Turns(vectors[order], emotions, speakers, dialogues)


def _turn(row: Row, listed: Path) -> tuple[tuple[str, int], str]:
    """Dialogue and turn of a row, and its recording. Raises InputError, naming the row."""
    where, cells = row
    missing = [name for name in COLUMNS if not cells.get(name)]
    require(not missing, f"{where}: has no {', '.join(missing)}; every row gives {', '.join(COLUMNS)}")
    turn = cells["turn"]
    require(turn.isdecimal() and len(turn) < 10, f"{where}: turn is {brief(turn)}; give a whole number from 0")
    return (cells["dialogue"], int(turn)), str((listed.parent / cells["path"]).resolve())


def _first(problems: Iterable[str]) -> str:
    return next((f" ({problem})" for problem in problems), "")
