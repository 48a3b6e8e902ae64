"""Recordings whose answers a person corrected (edge.feedback.store), as a corpus to train on. No torch.

    corrections:FOLDER      FOLDER/corrected/EMOTION/SPEAKER_*.wav, left by python -m edge.page --corrections FOLDER

They are added to the training recordings of any protocol, and to nothing else: they come from few people in one home
and were chosen because the model was unsure, so they must not be part of any figure.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from crnn.data.corpora import Corpus, Utterance
from crnn.data.own_data import scan
from crnn.errors import require
from crnn.run_config import LAYOUT

log = logging.getLogger(__name__)

CORRECTIONS = "corrections"
"""Name of the corpus"""
CORRECTED = "corrected"
"""Folder inside the one that the loop was given"""


def read_corrections(folder: Path) -> Corpus:
    """Raises InputError if nothing has been corrected there, or a name cannot be right."""
    corpus, problems = scan_corrections(folder)
    require(not problems, problems[0] if problems else "")
    return corpus


def scan_corrections(folder: Path) -> tuple[Corpus, list[str]]:
    """The same, with everything that is wrong as lines in place of an error."""
    made = Path(folder) / CORRECTED
    require(
        made.is_dir() and any(path.is_file() for path in made.rglob("*")),
        f"{made}: nothing is corrected yet; python -m edge.page --corrections {folder}",
    )
    corpus, problems = scan(f"folder:{made}", LAYOUT)
    return Corpus(CORRECTIONS, tuple(map(as_correction, corpus.utterances)), corpus.skipped), problems


def as_correction(utterance: Utterance) -> Utterance:
    """The same recording as one of this corpus, of which a person has said the emotion and no more."""
    return replace(utterance, corpus=CORRECTIONS, part=None, intensity=None, ratings=None)


def learnable(corrections: Iterable[Utterance], labels: Iterable[str]) -> tuple[Utterance, ...]:
    """Those of an emotion among `labels`; others are logged and left out. Raises InputError if none is left."""
    corrections, labels = list(corrections), tuple(labels)
    others = Counter(u.emotion for u in corrections if u.emotion not in labels)
    counts = ", ".join(f"{count} {emotion}" for emotion, count in sorted(others.items()))
    require(
        sum(others.values()) < len(corrections) or not corrections,
        f"no correction has an emotion of this protocol: there are {counts}, it knows {', '.join(labels)}",
    )
    if others:
        log.warning("corrections left out, for this protocol has no such emotion: %s", counts)
    return tuple(u for u in corrections if u.emotion in labels)
