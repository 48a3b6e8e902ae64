"""CREMA-D: recordings that have no truth, and its tables of the actors' sexes and the listeners' answers. No torch."""

import logging
from dataclasses import dataclass
from pathlib import Path

from crnn import labels
from crnn.data.names import clean
from crnn.data.tables import Row, csv_rows, read_text
from crnn.errors import InputError, require

log = logging.getLogger(__name__)

Votes = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Listeners:
    """What the listeners of the voice alone said of a clip."""

    votes: Votes
    """(emotion, share), shares sum to 1"""
    ratings: Votes | None = None
    """(emotion, mean rating of its strength by those who chose it, 0 to 1); None where the tables hold none"""


RATINGS = {
    "meanangerresp": "angry",
    "meandisgustresp": "disgust",
    "meanfearresp": "fearful",
    "meanhappyresp": "happy",
    "meanneutralresp": "neutral",
    "meansadresp": "sad",
}
"""Column of the mean rating, 0 to 100 -> emotion"""

CONTRADICTORY = (
    ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
    ("1013_WSI_DIS_XX", "1013_WSI_SAD_XX"),
    ("1017_IWL_ANG_XX", "1017_IWL_FEA_XX"),
    ("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
    ("1067_IEO_DIS_LO", "1067_IEO_FEA_LO"),
    ("1072_IEO_ANG_LO", "1072_IEO_ANG_MD", "1072_IEO_DIS_MD"),
)
"""One take each, which the release holds under several emotions; no one can say which is right. The first, second and
fourth are the same samples, the others near copies (`crnn.data.near_copies`: correlation 0.96 and more)"""


def _reasons() -> dict[str, str]:
    left_out = {"1076_MTI_SAD_XX": "silent throughout"}
    for names in CONTRADICTORY:
        for name in names:
            others = " and ".join(other for other in names if other != name)
            left_out[name] = f"the same take as {others}, under another emotion"
    return left_out


LEFT_OUT = _reasons()
"""Name -> why the recording can neither train nor judge"""


def actor_sexes(root: Path) -> dict[str, str]:
    """Actor -> female or male, from `VideoDemographics.csv`; empty where that is not beside the recordings.

    Raises InputError, naming file and line, if the table is there and cannot be read.
    """
    sexes = {}
    rows = _rows(root, "VideoDemographics.csv", ("actorid", "sex"))
    for where, row in rows:
        actor, sex = _number(row["actorid"], f"{where}: ActorID"), row["sex"].lower()
        require(sex in ("female", "male"), f"{where}: Sex is {row['sex']!r}, neither Female nor Male")
        sexes[str(actor)] = sex
    if not rows and root.is_dir():  # names alone may be parsed, without a folder
        log.warning("%s: no VideoDemographics.csv beside the recordings: the actors' sexes are unknown", root)
    return sexes


def voice_listeners(root: Path) -> dict[str, Listeners]:
    """Clip -> the answers of the listeners of the voice alone (row ids that begin with 1).

    `tabulatedVotes.csv` holds counts and mean ratings; `summaryTable.csv` the majority, used where a clip has no
    counts. Raises InputError, naming file and line, if a table is there and cannot be read.
    """
    found: dict[str, Listeners] = {}
    for _, row in _rows(root, "summaryTable.csv", ("filename", "voicevote")):
        winners = row["voicevote"].split(":")  # ties are written "A:D"
        if all(code in labels.CREMA_D_VOTES for code in winners):
            found[row["filename"]] = Listeners(
                tuple((labels.CREMA_D_VOTES[code], 1 / len(winners)) for code in winners)
            )
    codes = {code.lower(): emotion for code, emotion in labels.CREMA_D_VOTES.items()}
    for where, row in _rows(root, "tabulatedVotes.csv", (*codes, "filename")):
        if _row_id(row, where).startswith("1"):
            counts = {emotion: _number(row[code], f"{where}: {code.upper()}") for code, emotion in codes.items()}
            total = sum(counts.values())
            if total:
                votes = tuple((emotion, n / total) for emotion, n in counts.items() if n)
                found[row["filename"]] = Listeners(votes, _ratings(row, counts, where))
    return found


def _ratings(row: dict[str, str], counts: dict[str, int], where: str) -> Votes | None:
    """Of the emotions that anybody chose; the release has -1 for the others."""
    if not RATINGS.keys() <= row.keys():
        return None
    return tuple((e, _rating(row[name], f"{where}: {name}")) for name, e in RATINGS.items() if counts[e])


def _rating(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = -1.0
    require(0 <= value <= 100, f"{where} is {cell!r}; a mean rating from 0 to 100 was expected")
    return value / 100


def _row_id(row: dict[str, str], where: str) -> str:
    """The first column, which has no name in the release; spreadsheets and R give it one."""
    name, cell = next(iter(row.items()))
    require(cell[:1] in ("1", "2", "3"), f"{where}: row id {name} is {cell!r}; it should begin with 1, 2 or 3")
    return cell


def _number(cell: str, where: str) -> int:
    try:
        value = float(cell)
    except ValueError:
        value = -1.0
    require(value >= 0 and value == int(min(value, 1e9)), f"{where} is {cell!r}; a whole number was expected")
    return int(value)


def _rows(root: Path, name: str, columns: tuple[str, ...]) -> list[Row]:
    """Rows of a table that lies beside the recordings, in the release's root, or in crema_d_meta beside them."""
    for folder in (root, root.parent):
        for place in (folder, folder / "processedResults", folder / "crema_d_meta"):
            if (place / name).is_file():
                return _read(place / name, columns)
    return []


def _read(file: Path, columns: tuple[str, ...]) -> list[Row]:
    problems: list[str] = []
    rows = list(csv_rows(file, read_text(file), problems, unnamed=True))
    require(not problems, problems[0] if problems else "")
    if not rows:
        raise InputError(f"{file}: holds no rows; download it again")
    rows = [(where, {name.replace("_", ""): cell for name, cell in row.items()}) for where, row in rows]
    missing = [column for column in columns if column not in rows[0][1]]
    require(not missing, f"{file}: no column {', '.join(missing)}; it has {', '.join(rows[0][1])}; download it again")
    return [(where, {column: clean(cell) for column, cell in row.items()}) for where, row in rows]
