"""A folder of the recordings that the loop was least sure of, and of a person's corrections.

    FOLDER/NAME.wav, FOLDER/NAME.json              stored by the loop (recorder.py): the sound, and the answer
    FOLDER/corrected/EMOTION/SPEAKER_NAME.wav      corrected by a person (python -m edge.page --corrections FOLDER)

NAME is the time, UTC, and a random number. The number, age and bytes of uncorrected recordings are limited; corrected
ones are not. Other files are left unchanged. Only the owner of the folder can read it.
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
"""Letters, digits and hyphens; in a file name an underscore ends the speaker's name"""
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
MIB = 2**20
WAV_HEADER = 44
"""Bytes"""


@dataclass(frozen=True)
class StoreLimits:
    """Limits of the uncorrected recordings in a folder."""

    number: int = 50
    """Recordings"""
    days: float = 30.0
    """Age, days"""
    megabytes: float = 32.0
    """MiB of all their files together"""

    def __post_init__(self) -> None:
        require(1 <= self.number <= 1000, f"{self.number} stored recordings; give 1 to 1000")
        require(0 < self.days <= 3650, f"recordings stored for {self.days} days; give more than 0 and at most 3650")
        require(self.megabytes > 0, f"{self.megabytes} MiB of stored recordings; give more than 0")


@dataclass(frozen=True)
class StoredRecording:
    """An uncorrected recording of the folder."""

    name: str
    when: datetime
    """Time of the utterance, by this machine's clock"""
    answer: Answer | None
    """None if the sidecar is missing or damaged; such a recording cannot be corrected and is removed first"""
    bytes: int
    """Of its files"""
    complete: bool
    """Whether its WAV file exists"""

    @property
    def sure(self) -> float:
        return sureness(self.answer.probs) if self.answer and self.complete else math.inf


@dataclass(frozen=True)
class Corrected:
    """A corrected recording."""

    name: str
    emotion: str
    speaker: str


class RecordingStore:
    """The folder. Its state is on the disk alone, so that loop and page can use it at the same time.

    Args:
        path: created for its owner alone if it does not exist.
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
            raise InputError(f"{path}: cannot be created ({error.strerror})") from error
        require(self.path.is_dir(), f"{path}: is no folder; name one, or a new one")
        require(
            self.path.stat().st_mode & 0o077 == 0,
            f"{path}: others on this machine can read it; chmod 700 {path}, or name a new folder",
        )
        require(os.access(self.path, os.R_OK | os.W_OK | os.X_OK), f"{path}: cannot be written")

    def scan(self) -> tuple[list[StoredRecording], list[str]]:
        """Uncorrected recordings in order of name, and the names of files that are not this project's."""
        found: dict[tuple[str, datetime], dict[str, int]] = {}
        foreign = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                name, suffix = os.path.splitext(entry.name)  # noqa: PTH122
                when = time_of(name) if suffix in (".wav", ".json") else None
                if when is not None and entry.is_file(follow_symlinks=False):
                    try:
                        found.setdefault((name, when), {})[suffix] = entry.stat(follow_symlinks=False).st_size
                    except FileNotFoundError:  # corrected at this moment
                        continue
                elif entry.name not in (CORRECTED, LOCK) and not _unfinished(entry.name):
                    foreign.append(entry.name)
        stored = [
            StoredRecording(
                name,
                when,
                self._answer(name) if ".json" in sizes else None,
                sum(sizes.values()),
                ".wav" in sizes,
            )
            for (name, when), sizes in sorted(found.items())
        ]
        return stored, sorted(foreign)

    def tidy(self, limits: StoreLimits, room_for: StoredRecording | None = None) -> bool:
        """Remove recordings that are too old, then the surest ones until the rest is within `limits`.

        Args:
            room_for: a recording to be added; it counts as one of the folder.

        Returns whether `room_for` is among those that stay.
        """
        now = self._now()
        stored, _ = self.scan()
        fresh = []
        for item in stored:
            # A date in the future counts as fresh: a Pi's clock is behind until the network sets it.
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
        """Store a recording if it is one of those the loop is least sure of; returns whether it was stored.

        Removes others first, so that the limits always hold. Raises OSError; then nothing of the recording is left.

        Args:
            bundle: identity of the bundle that answered.
        """
        segment, samples = recording.segment, recording.samples
        answer = Answer(bundle, len(samples) / recording.sample_rate, segment.emotion, segment.verdict, segment.probs)
        name = new_name(recording.when)
        sidecar = as_json(answer, name)
        if not self.tidy(
            limits, StoredRecording(name, recording.when, answer, 2 * len(samples) + WAV_HEADER + len(sidecar), True)
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
        """Remove an uncorrected recording and its sidecar. Raises InputError if `name` is not a recording's name."""
        for suffix in (".wav", ".json"):
            path = self._path(name, suffix)
            if _is_plain(path):
                path.unlink(missing_ok=True)

    def clear_unfinished(self) -> None:
        """Remove the unfinished files of a loop that was killed. Only the holder of the lock may call this."""
        for path in self.path.iterdir():
            if _unfinished(path.name) and (path.is_file() or path.is_symlink()):
                path.unlink(missing_ok=True)

    def sound(self, name: str) -> bytes:
        """The WAV file of a recording, corrected or not. Raises InputError if there is none."""
        path = self._path(name, ".wav")
        if not _is_plain(path):
            path = self._corrected_path(self._corrected(name))
        with os.fdopen(open_regular(path, follow=False), "rb") as file:
            return file.read()

    def corrected(self) -> list[Corrected]:
        """Corrected recordings, the newest first."""
        found = []
        for path in _inside(self.path / CORRECTED):
            speaker, _, name = path.stem.rpartition("_")
            sound = path.suffix == ".wav" and _is_folder_name(path.parent.name)
            if sound and time_of(name) and SPEAKER.fullmatch(speaker) and _is_plain(path):
                found.append(Corrected(name, path.parent.name, speaker))
        return sorted(found, key=lambda item: item.name, reverse=True)

    def correct(self, name: str, emotion: str, speaker: str) -> None:
        """Correct a recording, or change its correction: it moves to `corrected/EMOTION/SPEAKER_NAME.wav`.

        Raises InputError if a value cannot be part of a path, or the recording is gone.
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
        """Delete a recording, corrected or not. Raises InputError if `name` is not a recording's name."""
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
    """Whether the path is a regular file and not a link."""
    return path.is_file() and not path.is_symlink()


def _inside(folder: Path) -> list[Path]:
    """The entries two levels below `folder`; links are not followed."""
    found = [folder]
    for _ in range(2):
        found = [
            path for parent in found if parent.is_dir() and not parent.is_symlink() for path in sorted(parent.iterdir())
        ]
    return found


def _is_folder_name(emotion: str) -> bool:
    return 0 < len(emotion) <= 40 and emotion.isprintable() and "/" not in emotion and not emotion.startswith(".")
