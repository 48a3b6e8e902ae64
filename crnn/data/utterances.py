"""One recording of a corpus, as far as its names and tables say what it is. No torch."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from crnn.errors import require
from crnn.files.printable import brief

EVERYONE = "*"
"""In place of a speaker: it may be anybody of that corpus"""
UNLABELLED = "unlabelled"
"""In place of an emotion, where a recording is there to be listened to alone"""


@dataclass(frozen=True)
class Utterance:
    """One recording and what its corpus says about it."""

    path: Path
    corpus: str
    speaker_id: str
    sex: str | None
    """female, male, or None where unknown"""
    emotion: str
    """The intended emotion, a name of labels.EMOTIONS (own recordings: any name)"""
    intensity: str | None = None
    sentence: str | None = None
    take: str | None = None
    votes: tuple[tuple[str, float], ...] | None = None
    """Listeners' votes (emotion, share), shares sum to 1; None where there are none"""
    part: str | None = None
    """train, dev or test, where the owner of the recordings has divided them"""
    key: str | None = None
    """Unique within the corpus, where the file name alone is not"""
    segment: tuple[float, float | None] | None = None
    """Start and end within the file in seconds; end None: to its end; None: the whole file"""
    ratings: tuple[tuple[str, float], ...] | None = None
    """How strongly the listeners who chose an emotion found it expressed: (emotion, mean rating 0 to 1)"""
    columns: tuple[tuple[str, str], ...] = ()
    """Other columns of its owner's list, as they are written: (name, cell), without empty cells"""

    @property
    def name(self) -> str:
        """Corpus and file name without folder and extension, the same for wav and flac; or corpus and `key`."""
        return f"{self.corpus}/{self.key or self.path.stem}"

    @property
    def place(self) -> str:
        """The file, and which seconds of it, for messages."""
        if self.segment is None:
            return str(self.path)
        start, end = self.segment
        return f"{self.path} from {start:g} s" + ("" if end is None else f" to {end:g} s")

    @property
    def speaker(self) -> str:
        """Corpus and speaker: two corpora may both have a speaker 03."""
        return f"{self.corpus}:{self.speaker_id}"

    def value(self, name: str, low: float, high: float) -> float:
        """The number in a column of the owner's list; NaN where the cell is empty or there is no such column. Raises
        InputError, naming the recording, for what is no number from `low` to `high`."""
        cell = dict(self.columns).get(name, "")
        if not cell:
            return math.nan
        value = number_in(cell)
        require(low <= value <= high, f"{self.place}: {name} is {brief(cell)}; give a number from {low:g} to {high:g}")
        grouped = re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", cell) is not None
        thousands = number_in(cell.replace(",", "")) if grouped else math.nan
        require(
            not low <= thousands <= high,
            f"{self.place}: {name} is {brief(cell)}, which may be {value:g} or {thousands:g}; write it without a comma",
        )
        return value


def number_in(cell: str) -> float:
    """The number in a cell of a list, with a decimal point or comma; NaN for anything else.

    >>> number_in("2,5"), number_in("-1e-2"), number_in("1_0")
    (2.5, -0.01, nan)
    """
    try:
        return math.nan if "_" in cell else float(cell.replace(",", "."))
    except ValueError:
        return math.nan
