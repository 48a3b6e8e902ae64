"""From folders of recordings to a leak-checked split over decoded audio: the same steps for training and export."""

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from crnn.data.cache import AudioCache, default_folder, merged, open_cache
from crnn.data.corpora import Corpus, read_corpus
from crnn.data.corrections import CORRECTED, CORRECTIONS, read_corrections
from crnn.data.leaks import check_leaks
from crnn.data.near_copies import NearCopy, near_copies, words
from crnn.data.own_data import KINDS, PLACES, WITHOUT, read_own
from crnn.data.own_entries import OWN
from crnn.data.protocols import Split, corpora_of, make_split, protocol_facts
from crnn.errors import require
from crnn.files.atomic import write_text
from crnn.run_config import RunConfig

log = logging.getLogger(__name__)

NEAR_FORMAT = 3
"""Of near copies as they are cached; another number looks for them anew"""


@dataclass(frozen=True)
class Prepared:
    """A split whose recordings are all decoded, and what was left out on the way."""

    split: Split
    cache: AudioCache
    skipped: dict[str, str] = field(default_factory=dict)
    """File -> why it is left out"""


def given_folders(entries: list[str]) -> dict[str, str]:
    """Values of `--data` by corpus; that of own recordings still names the kind of their layout.

    >>> given_folders(["ravdess:/recordings", "csv:mine.csv"])
    {'ravdess': '/recordings', 'own': 'csv:mine.csv'}
    """
    given: dict[str, str] = {}
    for entry in entries:
        require(":" in entry, f"--data {entry}: give CORPUS:FOLDER, for example ravdess:/recordings/ravdess")
        name, place = entry.split(":", 1)
        name, place = (OWN, entry) if name in KINDS else (name, place)
        require(name not in given, f"--data {entry}: {given.get(name)} is named already; give one place per corpus")
        given[name] = place
    return given


def locate_data(protocol: str, fold: int, given: dict[str, str]) -> dict[str, str]:
    """Corpus -> folder, for every corpus of the fold: `given`, or $SER_DATA/CORPUS. Own recordings and corrections must
    be given; corrections go with every protocol.

    Raises InputError that says how to name a folder.
    """
    corpora = corpora_of(protocol, fold)
    if CORRECTIONS in given:
        folder = Path(given[CORRECTIONS]).resolve()
        others = {name: place for name, place in given.items() if name != CORRECTIONS}
        own = corpora == (OWN,)
        wanted = PLACES if own else ", ".join(f"{name}:FOLDER" for name in corpora)
        require(
            bool(others) or ("SER_DATA" in os.environ and not own),
            f"corrections are learned from together with the recordings of {protocol}: also name {wanted}. Without "
            f"those recordings make a profile: python -m edge.enroll --folder {folder / CORRECTED}",
        )
        return locate_data(protocol, fold, others) | {CORRECTIONS: str(folder)}
    foreign = sorted(set(given) - set(corpora))
    without = given.get(OWN, "").startswith(f"{WITHOUT}:")
    fitting = WITHOUT if without else "own-data"
    require(foreign != [OWN], f"{protocol} does not take your own recordings; add --protocol {fitting}")
    if corpora == (OWN,):
        only_listens = protocol_facts(protocol).get("unlabelled", False)
        places = f"{WITHOUT}:PATH, a folder or a list" if only_listens else PLACES
        require(set(given) == {OWN}, f"{protocol}: name your recordings by --data {places}")
        require(
            without == only_listens,
            f"{protocol} takes recordings {'without' if only_listens else 'with'} labels; name them by --data {places}"
            + ("" if only_listens else f", or give --protocol {WITHOUT}"),
        )
        kind, _, place = given[OWN].partition(":")
        return {OWN: f"{kind}:{Path(place).resolve()}"}
    require(not foreign, f"{protocol} uses {', '.join(corpora)} alone; --data names {', '.join(foreign)}")
    base = os.environ.get("SER_DATA")
    folders = {}
    for corpus in corpora:
        require(
            corpus in given or bool(base),
            f"no recordings for {protocol}: pass --data {corpus}:FOLDER, or set SER_DATA to the folder above {corpus}/",
        )
        folders[corpus] = str(Path(given[corpus] if corpus in given else Path(base or "") / corpus).resolve())
    return folders


def open_corpus(
    name: str, place: str, layout: str, sample_rate: int, cache_folder: Path | None = None
) -> tuple[Corpus, AudioCache]:
    """Read a corpus and decode it (cached); `layout` says how own recordings are laid out in a folder."""
    corpus = read_any(name, place, layout)
    return corpus, open_cache(corpus.utterances, sample_rate, cache_folder)


def read_any(name: str, place: str, layout: str) -> Corpus:
    """Read a corpus, own recordings or corrections, without decoding a recording."""
    if name == CORRECTIONS:
        return read_corrections(Path(place))
    return read_own(place, layout) if name == OWN else read_corpus(name, Path(place))


def prepare(config: RunConfig, data: dict[str, str], cache_folder: Path | None = None) -> Prepared:
    """Read and decode the corpora, split them by the protocol, and refuse leaks."""
    opened = [
        open_corpus(name, place, config.layout, config.features.sample_rate, cache_folder)
        for name, place in sorted(data.items())
    ]
    cache = merged(cache for _, cache in opened)
    skipped = {file: why for corpus, _ in opened for file, why in corpus.skipped.items()} | cache.skipped
    usable = [u for corpus, _ in opened for u in corpus.utterances if u.name in cache.clips]
    split = without_dev_of(config.teacher.only, make_split(config.protocol, config.fold, usable))
    for repeat in check_leaks(
        split, cache.hashes, cached_near_copies(cache, config.features.sample_rate, cache_folder)
    ):
        log.warning("%s", repeat)
    log.info(
        "%s fold %d, split %s: %s clips; dev speakers %s, test speakers %s",
        config.protocol,
        config.fold,
        split.hash,
        ", ".join(f"{len(members)} {part}" for part, members in split.sets()),
        " ".join(split.speakers("dev")),
        " ".join(split.speakers("test")),
    )
    if "note" in protocol_facts(config.protocol):
        log.warning("%s: %s", config.protocol, protocol_facts(config.protocol)["note"])
    if skipped:
        reasons = Counter(skipped.values()).most_common()
        log.warning("%d files left out: %s", len(skipped), "; ".join(f"{n} x {why}" for why, n in reasons[:5]))
    return Prepared(split, cache, skipped)


def without_dev_of(corpora: Collection[str], split: Split) -> Split:
    """The split without development clips of these corpora, whose labels nobody may use (`teacher.only`).

    Raises InputError if one of them is no corpus of the split, or nobody is left to develop.
    """
    known = {u.corpus for _, members in split.sets() for u in members}
    unknown = sorted({*corpora} - known)
    require(not unknown, f"teacher.only names {', '.join(unknown)}; {split.protocol} has {', '.join(sorted(known))}")
    dev = tuple(u for u in split.dev if u.corpus not in corpora)
    require(len(dev) > 0 or not corpora, "teacher.only leaves no development clip; name fewer corpora")
    return replace(split, dev=dev)


def cached_near_copies(cache: AudioCache, sample_rate: int, folder: Path | None = None) -> list[NearCopy]:
    """Near copies among these recordings; looked for once, as long as they are the same."""
    key = hashlib.sha256(json.dumps([NEAR_FORMAT, sample_rate, sorted(cache.hashes.items())]).encode())
    file = (folder or default_folder()) / f"near-{key.hexdigest()[:24]}.json"
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):  # not there, or damaged: made anew
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored["digest"] == _digest(stored["copies"]):
            return [NearCopy(*copy) for copy in stored["copies"]]
    log.info("looking for near copies among %d recordings", len(cache.clips))
    fingerprints = {name: words(cache.waveform(name), sample_rate) for name in cache.clips}
    found = near_copies(fingerprints, cache.waveform, sample_rate)
    copies = [list(astuple(copy)) for copy in found]
    try:
        write_text(file, json.dumps({"digest": _digest(copies), "copies": copies}))
    except OSError as error:
        log.warning("%s: not stored (%s); near copies are searched for again next time", file, error.strerror)
    return found


def _digest(copies: object) -> str:
    return hashlib.sha256(json.dumps(copies).encode()).hexdigest()


def without_test(prepared: Prepared) -> Prepared:
    """The same, with the test recordings out of reach: for every step that may only see development speakers."""
    return replace(prepared, split=replace(prepared.split, test=(), dev_unseen=()))
