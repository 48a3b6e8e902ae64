"""Arrays by name in one memory-mapped file, with an index beside it; the caches are stored in it.

STEM.SUFFIX   the arrays' rows, one after another      STEM.json   name -> where its arrays are, and their hashes
STEM.lock     held while one process checks and writes

Every array is compared with its hash once, when the store is opened, and not again in every epoch: RAVDESS (341 MB of
waveforms) takes 1.2 s on a busy x86 core. What is missing, cut or altered is made anew. Nothing is unpickled.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crnn.errors import require
from crnn.files.atomic import replacing

log = logging.getLogger(__name__)

Made = list[np.ndarray] | str
"""Of one name: its arrays `(rows, ...)`, or why there are none"""
Make = Callable[[Sequence[str]], Generator[Made, None, None]]
"""Names -> what there is of each, in their order"""
Span = tuple[int, int, str]
"""First row, number of rows, `digest_of` the rows"""


@dataclass(frozen=True)
class Kind:
    """How the rows of a store are written."""

    suffix: str
    dtype: str
    """With its byte order, as NumPy writes it"""
    row: tuple[int, ...] = ()
    """Shape of one row; () for samples"""

    @property
    def row_bytes(self) -> int:
        return int(np.dtype(self.dtype).itemsize * np.prod(self.row, dtype=int))


@dataclass(frozen=True)
class Store:
    """Checked contents: every span lies in `rows` and has its hash."""

    rows: np.ndarray
    """`(all rows, *row)`, read-only, memory-mapped"""
    spans: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """Name -> why it has no arrays"""


def digest_of(rows: np.ndarray) -> str:
    """Hash of an array's bytes, 24 hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()[:24]


def open_store(folder: Path, stem: str, kind: Kind, names: Sequence[str], make: Make) -> Store:
    """Open the store `folder/stem` of these names; `make` is asked for those it lacks or that are damaged.

    A store holds one sort of content under one stem: whoever names it puts every setting into the stem. Several
    processes may call this at once: one checks and makes, the others wait. A folder that cannot be written will do
    where nothing has to be made. Raises InputError that says how to name another folder.
    """
    array, index = folder / f"{stem}.{kind.suffix}", folder / f"{stem}.json"
    with _locked(folder, stem) as refused:
        known = index.exists()
        found = _sound(array, index, kind, names)
        lacking = [name for name in names if name not in found.spans and name not in found.absent]
        if lacking:
            require(refused is None, f"{folder}: the cache folder cannot be written ({refused}); give --cache FOLDER")
            if known:
                log.warning("%s: %d of %d recordings damaged; making them anew", array, len(lacking), len(names))
            found = _write(array, index, kind, names, found, lacking, make)
    return found


@contextmanager
def _locked(folder: Path, stem: str) -> Iterator[str | None]:
    """Hold the store's lock; gives the reason where the folder cannot be written."""
    from filelock import FileLock  # of the train extra: who only reads recordings needs no store

    lock = FileLock(folder / f"{stem}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        yield error.strerror or str(error)
        return
    try:
        yield None
    finally:
        lock.release()


def _sound(array: Path, index: Path, kind: Kind, names: Sequence[str]) -> Store:
    """What the files hold of these names that has its hash."""
    rows = _mapped(array, kind)
    items, absent = _read_index(index)
    sound = {}
    for name in names:
        spans = items.get(name)
        if spans and all(first + n <= len(rows) and digest_of(rows[first : first + n]) == d for first, n, d in spans):
            sound[name] = spans
    return Store(rows, sound, {name: absent[name] for name in names if name in absent})


def _mapped(array: Path, kind: Kind) -> np.ndarray:
    """The whole rows of the file; none where there is no file."""
    n = array.stat().st_size // kind.row_bytes if array.is_file() else 0
    if n == 0:
        return np.empty((0, *kind.row), kind.dtype)
    return np.memmap(array, kind.dtype, mode="r", shape=(n, *kind.row))


def _read_index(path: Path) -> tuple[dict[str, tuple[Span, ...]], dict[str, str]]:
    """Spans and reasons by name; none of either where the file is not an index with its own hash."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        items, absent = stored["items"], stored["absent"]
        if stored["digest"] != _index_digest(items, absent):
            return {}, {}
        spans = {name: tuple((first, n, str(digest)) for first, n, digest in spans) for name, spans in items.items()}
        if not all(type(x) is int and x >= 0 for item in spans.values() for first, n, _ in item for x in (first, n)):
            return {}, {}
        return spans, {name: str(reason) for name, reason in absent.items()}
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}, {}


def _index_digest(items: object, absent: object) -> str:
    return hashlib.sha256(json.dumps([items, absent], sort_keys=True).encode()).hexdigest()


def _write(
    array: Path, index: Path, kind: Kind, names: Sequence[str], found: Store, lacking: Sequence[str], make: Make
) -> Store:
    """Both files anew: what was found sound is copied, what is lacking is made."""
    spans, absent, total = {}, dict(found.absent), 0
    missing = set(lacking)
    for left in array.parent.glob(f".{array.stem}.*.part"):
        left.unlink()  # of a process that was killed: this one holds the lock
    with closing(make(lacking)) as made_anew, replacing(array) as file:
        for name in names:
            if name in missing:
                made = next(made_anew)
            elif name in found.spans:
                made = [found.rows[first : first + n] for first, n, _ in found.spans[name]]
            else:
                continue
            if isinstance(made, str):
                absent[name] = made
                continue
            placed = []
            for rows in made:
                rows = np.ascontiguousarray(rows, dtype=kind.dtype)
                file.write(rows.data)
                placed.append((total, len(rows), digest_of(rows)))
                total += len(rows)
            spans[name] = tuple(placed)
    values = {"digest": _index_digest(spans, absent), "items": spans, "absent": absent}
    with replacing(index) as file:
        file.write(json.dumps(values).encode())
    return Store(_mapped(array, kind), spans, absent)
