"""A CSV table of many recordings with a row for each segment; a further run continues it.

The rows of a recording are added in one write, and flushed to the disk, when all of it has been recognized. Each row
says how many rows the recording has. If a run is killed in the middle of that write, the next run removes the rows of
the incomplete recording and recognizes it again.
"""

import contextlib
import csv
import fcntl
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crnn.errors import InputError, require
from crnn.files.strict import file_hash
from edge.loop.recognition import EmotionModel, Recognition
from edge.loop.rule_engine import RuleEngine
from edge.loop.rules import Rule
from edge.sinks.lines import as_dict
from edge.stream.results import Segment

BEFORE_PROBS = (
    "file", "segment", "segments", "start_seconds", "end_seconds", "emotion", "verdict", "confidence", "model",
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What happened to the given recordings."""

    path: Path
    added: int
    there: int
    """Recordings that the table already held"""
    bad: int
    """Recordings that could not be read; they have no row"""

    def __str__(self) -> str:
        bad = f"; {self.bad} could not be read (named above) and will be tried again" if self.bad else ""
        return f"{self.path}: {self.added} recordings added, {self.there} were there already{bad}"


def write(
    path: Path,
    model: EmotionModel,
    recordings: Sequence[str],
    profiles: Sequence[Path],
    report: Callable[[str], None],
    rules: Sequence[Rule] = (),
) -> Done:
    """Recognize `recordings` into the table `path`, which may exist; recordings it already holds are skipped.

    Args:
        profiles: with which `model` was opened; a table holds rows of the same profiles.
        report: called with one line for each recording that is not in the table yet.
        rules: the column `rules` says which of them fire; without any there is no such column.

    Raises InputError if `path` is not a table of this model or another process writes to it, and OSError if it cannot
    be written; the table then ends with a complete recording.
    """
    head = columns(model.labels, model.arousal, bool(rules), model.people is not None)
    table = _Table(path, head, settings(model, profiles, rules), rules)
    added = there = bad = 0
    with table.opened():
        for number, name in enumerate(recordings, start=1):
            if table.holds(name):
                there += 1
                continue
            try:
                require(not Path(name).is_dir(), f"{name}: is a folder, not a recording")
                found = model.recognize(name)
            except (InputError, OSError) as error:
                bad += 1
                report(f"{number}/{len(recordings)}  bad: {error}")
                continue
            table.add(name, found)
            added += 1
            answer = f"{found.emotion or found.verdict}, {len(found.segments)} segment(s) in {found.seconds:.1f} s"
            report(f"{number}/{len(recordings)}  {name}: {answer}")
    return Done(path, added, there, bad)


def columns(labels: tuple[str, ...], arousal: bool = False, rules: bool = False, people: bool = False) -> list[str]:
    """Names of the columns; `rules` if there are any, `arousal` if the model estimates it, `person` if it chooses among
    several, `prob_` and the name for each emotion."""
    optional = [name for name, there in (("rules", rules), ("arousal", arousal), ("person", people)) if there]
    return [*BEFORE_PROBS, *optional, *(f"prob_{label}" for label in labels)]


def settings(model: EmotionModel, profiles: Sequence[Path] = (), rules: Sequence[Rule] = ()) -> str:
    """12 hexadecimal digits that differ between models, runtimes, VADs, profiles and rules."""
    parts = [model.bundle.manifest.identity, model.runtime, model.vad]
    parts += [file_hash(profile) for profile in profiles]
    parts += [profile.stem for profile in profiles] if len(profiles) > 1 else []
    parts += [repr(rule) for rule in rules]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


class _Table:
    """The file, locked while it is open."""

    def __init__(self, path: Path, head: list[str], model: str, rules: Sequence[Rule]) -> None:
        self._path, self._head, self._model, self._rules = Path(path), head, model, rules
        self._folder = self._path.parent
        self._done: set[str] = set()
        self._fd = -1

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        require(not self._path.exists() or self._path.is_file(), f"--csv {self._path}: is no regular file")
        require(self._folder.is_dir(), f"--csv {self._path}: there is no folder {self._folder}; make it first")
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"--csv {self._path}: another process is writing to it") from error
            self._continue()
            yield
        finally:
            os.close(self._fd)

    def holds(self, name: str) -> bool:
        return self._key(name) in self._done

    def add(self, name: str, found: Recognition) -> None:
        """Append all rows of a recording, or none."""
        rules = RuleEngine(self._rules, live=False)
        rows = [
            self._row(name, number, len(found.segments), segment, "; ".join(e.rule for e in rules.update(segment)))
            for number, segment in enumerate(found.segments, start=1)
        ]
        self._append(_encode(rows))
        self._done.add(self._key(name))

    def _row(self, name: str, number: int, total: int, segment: Segment, rules: str) -> list[object]:
        values = as_dict(segment.end_seconds, segment, ())
        values |= {"file": self._key(name), "segment": number, "segments": total, "model": self._model, "rules": rules}
        values |= {f"prob_{label}": p for label, p in values["probs"].items()}
        if not segment.probs:
            values["confidence"] = None
        return [values.get(column) for column in self._head]

    def _key(self, name: str) -> str:
        """The table's name of a recording: relative to the table's folder, unless it is absolute; other bytes than
        UTF-8 are escaped."""
        if not Path(name).is_absolute():
            name = os.path.relpath(name, self._folder)
        return os.path.normpath(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

    def _append(self, data: bytes) -> None:
        end = os.lseek(self._fd, 0, os.SEEK_END)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fsync(self._fd)
        except BaseException as error:  # a full disk, Ctrl-C: leave no incomplete recording
            os.ftruncate(self._fd, end)
            if isinstance(error, OSError):
                raise InputError(f"--csv {self._path}: cannot be written ({error.strerror})") from error
            raise

    def _continue(self) -> None:
        """Read the table, and remove the incomplete rows of a killed run. Raises InputError for any other content."""
        with open(self._fd, "rb", closefd=False) as file:  # noqa: PTH123 - the descriptor is locked
            data = file.read()
        head = _encode([self._head])
        if head.startswith(data):  # new, or killed in its first line
            os.ftruncate(self._fd, 0)
            self._append(head)
            return
        strange = f"--csv {self._path}: exists and is not a table of this model; give another file"
        require(data.startswith(head), strange)
        end = len(head)
        names: list[str] = []
        for row, at in self._records(data, end):
            whole = len(row) == len(self._head) and data[at - 1 : at] == b"\n"
            if not whole:
                break
            values = dict(zip(self._head, row, strict=True))
            require(
                values["model"] == self._model,
                f"--csv {self._path}: holds rows of another model, VAD, runtime, profile or rules; give another file",
            )
            if names and values["file"] != names[0]:
                break
            names.append(values["file"])
            if values["segment"] != str(len(names)):
                break
            if values["segments"] == str(len(names)):
                self._done.add(names[0])
                names, end = [], at
        self._cut(data, end)

    def _cut(self, data: bytes, end: int) -> None:
        """Remove what follows `end` if one interrupted write can have left it: rows of one recording, the last cut."""
        if end == len(data):
            return
        rows = [row for row, _ in self._records(data, end)]
        torn = {row[0] for row in rows[:-1]}
        numbers = [row[1] for row in rows[:-1] if len(row) > 1]
        require(
            len(torn) <= 1 and numbers == [str(n) for n in range(1, len(rows))],
            f"--csv {self._path}: was changed by another program after byte {end}; give another file",
        )
        os.ftruncate(self._fd, end)
        os.fsync(self._fd)

    def _records(self, data: bytes, start: int) -> Iterator[tuple[list[str], int]]:
        """The records from byte `start`, each with the position of the byte after it."""
        at = start

        def lines() -> Iterator[str]:
            nonlocal at
            while at < len(data):
                end = data.find(b"\n", at) + 1 or len(data)
                line, at = data[at:end], end
                yield line.decode("utf-8", "replace")

        try:
            for row in csv.reader(lines()):
                yield row, at
        except csv.Error as error:
            raise InputError(f"--csv {self._path}: damaged at byte {at} ({error}); give another file") from error


def _encode(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)  # lines end in CR LF (RFC 4180); names that contain either are quoted
    return text.getvalue().encode("utf-8")
