"""A folder of what the loop was least sure of, bounded in number, age and bytes, and what a person made of it.

    FOLDER/NAME.wav, FOLDER/NAME.json              kept by the loop (recorder.py): the sound, and what was answered
    FOLDER/corrected/EMOTION/SPEAKER_NAME.wav      corrected by a person (python -m edge.page --corrections FOLDER)

NAME is the time, UTC, and a random number. The bounds hold for every file with such a name; what is corrected is its
owner's and is not bounded. Whatever else lies there is left alone. Everything is for the owner of the folder only.
"""

import math
import os
import re
import unicodedata
import wave
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from crnn.errors import InputError, require
from crnn.files.atomic import is_unfinished, replacing
from crnn.files.strict import open_regular, read_bounded
from edge.feedback.sidecar import LARGEST, NAME, Answer, as_json, new_name, parse_sidecar, sureness, time_of
from edge.loop.events import Recording

CORRECTED = "corrected"
LOCK = ".lock"
SPEAKER = re.compile(r"[^\W_](?:[^\W_]|-){0,29}")
"""Letters, digits and hyphens: the underscore ends a speaker's name in a file's"""
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
MIB = 2**20
WAV_HEADER = 44
"""Bytes"""


@dataclass(frozen=True)
class StoreLimits:
    """What may lie there at a time; what is corrected is not counted."""

    number: int = 50
    """Recordings"""
    days: float = 30.0
    """d since it was said"""
    megabytes: float = 32.0
    """MiB of all files together"""

    def __post_init__(self) -> None:
        require(1 <= self.number <= 1000, f"{self.number} kept recordings; give 1 to 1000")
        require(0 < self.days <= 3650, f"recordings kept for {self.days} days; give more than 0 and at most 3650")
        require(self.megabytes > 0, f"{self.megabytes} MiB of kept recordings; give more than 0")


@dataclass(frozen=True)
class StoredRecording:
    """One name of the folder."""

    name: str
    when: datetime
    """When it was said, by this machine's clock then"""
    answer: Answer | None
    """None where the sidecar is missing or damaged: nothing can be asked about it, and it goes first"""
    bytes: int
    """Of its files"""
    complete: bool
    """Whether the sound is there"""

    @property
    def sure(self) -> float:
        return sureness(self.answer.probs) if self.answer and self.complete else math.inf


@dataclass(frozen=True)
class Corrected:
    """A recording that somebody has corrected."""

    name: str
    emotion: str
    speaker: str


class RecordingStore:
    """The folder as it is on the disk: nothing is remembered here, so that loop and page may both work on it.

    Args:
        path: made, with its owner's rights alone, if it is not there.
        now: the wall clock, aware.

    Raises InputError, naming the folder, if it cannot be used or others may look into it.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path, self._now = Path(path), now
        try:
            if not self.path.exists():
                require(self.path.absolute().parent.is_dir(), f"{path}: there is no folder {self.path.parent}")
                self.path.mkdir(mode=PRIVATE_FOLDER)
        except OSError as error:
            raise InputError(f"{path}: cannot be made ({error.strerror})") from error
        require(self.path.is_dir(), f"{path}: is no folder; name one, or a new one")
        require(
            self.path.stat().st_mode & 0o077 == 0,
            f"{path}: others on this machine may look into it; chmod 700 {path}, or name a new folder",
        )
        require(os.access(self.path, os.R_OK | os.W_OK | os.X_OK), f"{path}: cannot be written")

    def scan(self) -> tuple[list[StoredRecording], list[str]]:
        """What is kept, in order of name, and the names of files that are not this project's."""
        names: dict[str, dict[str, int]] = {}
        foreign = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                name, suffix = os.path.splitext(entry.name)  # noqa: PTH122
                if suffix in (".wav", ".json") and time_of(name) and entry.is_file(follow_symlinks=False):
                    try:
                        names.setdefault(name, {})[suffix] = entry.stat(follow_symlinks=False).st_size
                    except FileNotFoundError:  # corrected at this moment
                        continue
                elif entry.name not in (CORRECTED, LOCK) and not _unfinished(entry.name):
                    foreign.append(entry.name)
        kept = [
            StoredRecording(
                name,
                time_of(name),
                self._answer(name) if ".json" in sizes else None,
                sum(sizes.values()),
                ".wav" in sizes,
            )
            for name, sizes in sorted(names.items())
        ]
        return kept, sorted(foreign)

    def tidy(self, limits: StoreLimits, room_for: StoredRecording | None = None) -> bool:
        """Throw out what is too old, and the surest until the rest is within `limits` together with `room_for`.

        Returns whether `room_for` may come: not if it would be thrown out itself.
        """
        now = self._now()
        kept, _ = self.scan()
        fresh = []
        for item in kept:
            # What is dated later than now is fresh: the clock is behind, as a Pi's is until the network sets it.
            too_old = item.when <= now - timedelta(days=limits.days)
            if too_old or not item.complete:
                self.remove(item.name)
            else:
                fresh.append(item)
        rivals = sorted(
            [*fresh, *([room_for] if room_for else [])], key=lambda item: (item.sure, -item.when.timestamp())
        )
        total = 0
        stays = True
        for place, item in enumerate(rivals):
            total += item.bytes
            if place >= limits.number or total > limits.megabytes * MIB:
                total -= item.bytes
                if item is room_for:
                    stays = False
                else:
                    self.remove(item.name)
        return stays

    def add(self, recording: Recording, bundle: str, limits: StoreLimits) -> bool:
        """Write a recording down, if it belongs to those the loop is least sure of; `bundle`: who answered.

        What must go goes before, so that the bounds hold at every moment. Raises OSError; then nothing of it is there.
        """
        segment, samples = recording.segment, recording.samples
        told = Answer(bundle, len(samples) / recording.sample_rate, segment.emotion, segment.verdict, segment.probs)
        name = new_name(recording.when)
        sidecar = as_json(told, name)
        if not self.tidy(
            limits, StoredRecording(name, recording.when, told, 2 * len(samples) + WAV_HEADER + len(sidecar), True)
        ):
            return False
        try:
            with replacing(self.path / f"{name}.wav", PRIVATE_FILE) as file, wave.open(file, "wb") as sound:
                sound.setnchannels(1)
                sound.setsampwidth(2)
                sound.setframerate(recording.sample_rate)
                sound.writeframes(samples.tobytes())
            with replacing(self.path / f"{name}.json", PRIVATE_FILE) as file:
                file.write(sidecar)
        except OSError:
            self.remove(name)
            raise
        return True

    def remove(self, name: str) -> None:
        """Throw a kept recording away, with what was told of it. Raises InputError for what is no name."""
        for suffix in (".wav", ".json"):  # the sound first
            path = self._path(name, suffix)
            if _is_plain(path):
                path.unlink(missing_ok=True)

    def clear_unfinished(self) -> None:
        """What a loop that was killed left half-written; only for who alone writes here."""
        for path in self.path.iterdir():
            if _unfinished(path.name) and (path.is_file() or path.is_symlink()):
                path.unlink(missing_ok=True)

    def sound(self, name: str) -> bytes:
        """The WAV file of a kept or corrected recording. Raises InputError if there is none."""
        path = self._path(name, ".wav")
        if not _is_plain(path):
            path = self._corrected_path(self._corrected(name))
        with os.fdopen(open_regular(path, follow=False), "rb") as file:
            return file.read()

    def corrected(self) -> list[Corrected]:
        """Everything that has been corrected, the newest first."""
        found = []
        for path in _inside(self.path / CORRECTED):
            speaker, _, name = path.stem.rpartition("_")
            sound = path.suffix == ".wav" and _is_folder_name(path.parent.name)
            if sound and time_of(name) and SPEAKER.fullmatch(speaker) and _is_plain(path):
                found.append(Corrected(name, path.parent.name, speaker))
        return sorted(found, key=lambda item: item.name, reverse=True)

    def correct(self, name: str, emotion: str, speaker: str) -> None:
        """Say what a recording, kept or corrected, is: it moves to `corrected/EMOTION/SPEAKER_NAME.wav`.

        Raises InputError for what cannot be part of a path, and if the recording is gone.
        """
        emotion, speaker = (unicodedata.normalize("NFC", text.strip()) for text in (emotion, speaker))
        require(_is_folder_name(emotion), f"{emotion!r} cannot name a folder, so no recording can be corrected to it")
        require(bool(SPEAKER.fullmatch(speaker)), f"speaker {speaker!r}: give up to 30 letters, digits and hyphens")
        source = self._path(name, ".wav")
        if not _is_plain(source):
            source = self._corrected_path(self._corrected(name))
        target = self._corrected_path(Corrected(name, emotion, speaker))
        for folder in (target.parent.parent, target.parent):
            require(not folder.is_symlink(), f"{folder}: is a link; corrected recordings stay in their folder")
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        source.replace(target)
        self._path(name, ".json").unlink(missing_ok=True)

    def forget(self, name: str) -> None:
        """Delete a recording, kept or corrected. Raises InputError for what is no name."""
        self.remove(name)
        for item in self.corrected():
            if item.name == name:
                self._corrected_path(item).unlink(missing_ok=True)

    def _corrected(self, name: str) -> Corrected:
        found = [item for item in self.corrected() if item.name == name]
        require(bool(found), "this recording is no longer here; reload the page")
        return found[0]

    def _corrected_path(self, item: Corrected) -> Path:
        return self.path / CORRECTED / item.emotion / f"{item.speaker}_{item.name}.wav"

    def _path(self, name: str, suffix: str) -> Path:
        require(bool(NAME.fullmatch(name)), "this names no recording; reload the page")
        return self.path / f"{name}{suffix}"

    def _answer(self, name: str) -> Answer | None:
        try:
            return parse_sidecar(read_bounded(self.path / f"{name}.json", LARGEST, follow=False), name)
        except (OSError, InputError):
            return None


def _unfinished(name: str) -> bool:
    return is_unfinished(name, rf"{NAME.pattern}\.(?:wav|json)")


def _is_plain(path: Path) -> bool:
    """Whether a regular file lies there, and not a link to one."""
    return path.is_file() and not path.is_symlink()


def _inside(folder: Path) -> list[Path]:
    """What lies two levels below `folder`, no link followed; nothing where it cannot be looked into."""
    found = [folder]
    for _ in range(2):
        found = [
            path for parent in found if parent.is_dir() and not parent.is_symlink() for path in sorted(parent.iterdir())
        ]
    return found


def _is_folder_name(emotion: str) -> bool:
    return 0 < len(emotion) <= 40 and emotion.isprintable() and "/" not in emotion and not emotion.startswith(".")
