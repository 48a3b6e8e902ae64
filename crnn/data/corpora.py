"""A corpus read from its folder: its reader parses the name of every recording there; nothing is decoded. No torch.

A file that the reader cannot parse is reported in `Corpus.skipped`.
"""

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from crnn.data.audio_files import audio_files, unusable_file
from crnn.data.readers import READERS, Skip
from crnn.data.utterances import Utterance
from crnn.errors import require

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """What a reader found."""

    name: str
    utterances: tuple[Utterance, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    """File -> why it is not among the utterances"""


def read_corpus(name: str, root: Path) -> Corpus:
    """Read the corpus `name` (a key of READERS) below the folder `root`, in file-name order.

    A file that lies there twice, byte for byte, counts once (Kaggle's archives hold every recording twice).
    Raises InputError if the folder is missing, holds no file name of that corpus, or two files of one name that differ.
    """
    require(name in READERS, f"unknown corpus {name}; known: {', '.join(READERS)}")
    root = Path(root)
    require(root.is_dir(), f"{root}: no such folder (expected the {name} recordings there)")
    parse = READERS[name](root)
    utterances, skipped, foreign = [], {}, 0
    for path in audio_files(root):
        reason = unusable_file(path, root)
        if reason:
            skipped[str(path)] = reason
            continue
        try:
            utterance = parse(path)
        except Skip as reason:
            skipped[str(path)] = str(reason)
            continue
        if utterance is None:
            skipped[str(path)] = f"not a {name} file name"
            foreign += 1
        else:
            utterances.append(utterance)
    most = "".join(f", most of them: {why}" for why, _ in Counter(skipped.values()).most_common(1))
    require(
        len(utterances) > 0,
        f"{root}: no usable {name} recording ({foreign} audio files with other names, "
        f"{len(skipped) - foreign} skipped{most}); check the corpus name and the folder",
    )
    copies = _copies(utterances)
    if copies:
        copy, original = next(iter(copies.items()))
        log.warning(
            "%d of %d %s files are identical copies of others and left out (%s is %s)",
            len(copies), len(utterances), name, copy, original,
        )  # fmt: skip
        skipped |= dict.fromkeys(map(str, copies), "an identical copy of another file of this name")
    return Corpus(name, tuple(u for u in utterances if u.path not in copies), skipped)


def _copies(utterances: list[Utterance]) -> dict[Path, Path]:
    """File -> the file of the same name that it equals byte for byte. Raises InputError if they differ."""
    named = defaultdict(list)
    for u in utterances:
        named[u.name].append(u.path)
    copies = {}
    for name, (first, *others) in named.items():
        for other in others:
            require(
                first.stat().st_size == other.stat().st_size and first.read_bytes() == other.read_bytes(),
                f"{first} and {other} are both {name} and differ; give a folder that holds one of them",
            )
            copies[other] = first
    return copies
