"""What is said in recordings: from a column of their owner's list, or from a speech recognizer. No torch."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn.data.array_store import Kind
from crnn.data.cache import AudioCache
from crnn.data.embeddings import Steps, open_rows
from crnn.data.own_entries import OWN
from crnn.data.tables import column_name
from crnn.data.utterances import Utterance
from crnn.errors import require
from crnn.text_config import TextConfig

TEXT = Kind("utf8", "|u1")
"""A transcript is stored as its bytes and a line end, so that an empty one has a row"""

Transcribe = Callable[[np.ndarray], str]
"""`waveform (time,)` float32 -> what is said"""


@dataclass(frozen=True)
class Transcripts:
    """What is said in every recording."""

    texts: dict[str, str]
    """Utterance name -> its transcript; "" where a recognizer found no word"""
    sources: dict[str, int]
    """`column` and `recognizer` -> how many come from it"""

    def describe(self) -> dict:
        """Counts, for the figures of a run: recordings of fixed sentences have few different transcripts."""
        return {**self.sources, "different": len(set(self.texts.values()))}


def in_column(utterances: Sequence[Utterance], text: TextConfig) -> dict[str, str]:
    """The transcripts that stand in `text.column`, by utterance name; its name is read as a list's header is.
    Raises InputError, naming the recording, if one has none and there is no `text.recognizer`, and if none has one."""
    column = column_name(text.column)
    cells = {u.name: dict(u.columns).get(column, "") for u in utterances}
    without = [u for u in utterances if not cells[u.name]]
    if without and not text.recognizer:
        first = without[0]
        more = f" (and {len(without) - 1} more)" if len(without) > 1 else ""
        where = f"column {text.column}" if text.column else "a column, and text.column names none"
        fill = f"fill the column {text.column or 'of your list'}" if first.corpus == OWN else "it has no list to fill"
        require(
            False,
            f"{first.place}: no transcript in {where}{more}; {fill}, or name a speech recognizer by text.recognizer",
        )
    others = ", ".join(sorted({name for u in utterances for name, _ in u.columns})) or "none"
    require(
        not text.column or len(without) < len(utterances),
        f"text.column is {text.column}, in which no recording has a transcript (columns of your list that are free for "
        f"one: {others}); name another, or leave it out and text.recognizer transcribes all",
    )
    return {name: cell for name, cell in cells.items() if cell}


def open_transcripts(
    utterances: Sequence[Utterance],
    text: TextConfig,
    cache: AudioCache,
    key: str = "",
    transcribe: Transcribe | None = None,
    folder: Path | None = None,
) -> Transcripts:
    """The transcripts of decoded recordings: of the column where it has one, otherwise by `transcribe`, once for each
    recording's samples; `key` names the recognizer. Raises the errors of `in_column` and of `transcribe`."""
    written = in_column(utterances, text)
    texts, sources = dict(written), Counter(column=len(written), recognizer=0)
    for corpus in sorted({u.corpus for u in utterances}):
        digests = {u.name: cache.hashes[u.name] for u in utterances if u.corpus == corpus and u.name not in written}
        if not digests or transcribe is None:
            continue
        recognize = transcribe

        def made(name: str, recognize: Transcribe = recognize) -> np.ndarray:
            return np.frombuffer(f"{recognize(np.array(cache.waveform(name)))}\n".encode(), np.uint8)

        stored = open_rows(digests, f"{corpus}: transcripts", ["transcripts", key], TEXT, made, folder)
        texts |= {name: row.tobytes().decode()[:-1] for name, row in stored.items()}
        sources["recognizer"] += len(digests)
    return Transcripts(texts, dict(sources))


def open_tokens(
    texts: Mapping[str, str], key: str, width: int, tokens: Callable[[str], np.ndarray], folder: Path | None = None
) -> Steps:
    """The outputs of a text encoder for every transcript, computed once per text; `tokens`: a text -> `(tokens, width)`
    float16, `key` names the encoder."""
    digests = {name: hashlib.sha256(text.encode()).hexdigest()[:24] for name, text in texts.items()}
    kind = Kind("f16", "<f2", (width,))
    return Steps(open_rows(digests, "tokens", ["tokens", key, width], kind, lambda name: tokens(texts[name]), folder))
