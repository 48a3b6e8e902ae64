"""From a folder of recordings to a leak-checked split over decoded audio: the same steps for training and export."""

import logging
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from crnn.cache import AudioCache, open_cache
from crnn.config import require
from crnn.corpora import read_corpus
from crnn.protocols import Split, check_leaks, make_split, protocol_facts
from crnn.run_config import RunConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A split whose recordings are all decoded, and what was left out on the way."""

    split: Split
    cache: AudioCache
    skipped: dict[str, str] = field(default_factory=dict)
    """File -> why it takes no part"""


def locate_data(protocol: str, given: dict[str, str]) -> dict[str, str]:
    """Corpus -> folder: `given`, or $SER_DATA/CORPUS for the protocol's corpus.

    Raises InputError that says how to name the folder.
    """
    corpus = protocol_facts(protocol)["corpus"]
    require(set(given) <= {corpus}, f"{protocol} uses {corpus} alone; --data names {', '.join(sorted(given))}")
    if not given:
        base = os.environ.get("SER_DATA")
        require(
            bool(base),
            f"no recordings for {protocol}: pass --data {corpus}:FOLDER, or set SER_DATA to the folder above {corpus}/",
        )
        given = {corpus: str(Path(base) / corpus)}
    return {corpus: str(Path(given[corpus]).resolve())}


def prepare(config: RunConfig, data: dict[str, str], cache_folder: Path | None = None) -> Prepared:
    """Read the corpus, decode it (cached), split it by the protocol, and refuse leaks."""
    ((name, root),) = data.items()
    corpus = read_corpus(name, Path(root))
    cache = open_cache(corpus.utterances, config.features.sample_rate, cache_folder)
    skipped = corpus.skipped | cache.skipped
    usable = [u for u in corpus.utterances if u.name in cache.clips]
    split = make_split(config.protocol, config.fold, usable)
    for repeat in check_leaks(split, cache.hashes):
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
    if skipped:
        reasons = Counter(skipped.values()).most_common()
        log.warning("%d files left out: %s", len(skipped), "; ".join(f"{n} x {why}" for why, n in reasons[:5]))
    return Prepared(split, cache, skipped)


def without_test(prepared: Prepared) -> Prepared:
    """The same, with the test recordings out of reach: for every step that may only see development speakers."""
    return replace(prepared, split=replace(prepared.split, test=()))
