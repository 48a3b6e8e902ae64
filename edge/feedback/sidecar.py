"""The name and the sidecar of a stored recording (edge.feedback.store). Sidecars are read strictly."""

import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from crnn.errors import require
from crnn.files.strict import parse_json
from edge.stream.results import Verdict

SCHEMA = 1
NAME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{8}")
"""Time of the utterance, UTC, and a random number"""
STAMP = "%Y%m%dT%H%M%S.%fZ"
LONGEST = 3600.0
"""s of a recording, at most; utterances are far shorter"""
LARGEST = 16384
"""Bytes of a sidecar"""


@dataclass(frozen=True)
class Answer:
    """The loop's answer to a recording: the content of a sidecar."""

    bundle: str
    """Identity of the bundle that answered (`Manifest.identity`)"""
    seconds: float
    """Length of the recording, s"""
    emotion: str | None
    verdict: Verdict | None
    probs: dict[str, float]
    """Emotion -> probability"""


def sureness(probs: dict[str, float]) -> float:
    """How sure the loop was: the highest probability (alternatives were compared on development speakers)."""
    return max(probs.values())


def new_name(when: datetime) -> str:
    """A name for an utterance at `when` (aware)."""
    return f"{when.astimezone(UTC).strftime(STAMP)[:-4]}Z-{secrets.token_hex(4)}"


def time_of(name: str) -> datetime | None:
    """Time of the utterance; None if `name` is not a recording's name.

    >>> time_of("20261121T174406.250Z-0123abcd").isoformat()
    '2026-11-21T17:44:06.250000+00:00'
    """
    if not NAME.fullmatch(name):
        return None
    try:
        return datetime.strptime(name.split("-")[0], STAMP).replace(tzinfo=UTC)
    except ValueError:  # a thirteenth month
        return None


def parse_sidecar(data: bytes, name: str) -> Answer:
    """The content of `NAME.json`. Raises InputError for anything that `RecordingStore.add` does not write."""
    damaged = f"{name}.json: not a sidecar of this project, or damaged"
    require(len(data) <= LARGEST, damaged)
    values = parse_json(data, damaged)
    keys = {"schema", "when", *Answer.__dataclass_fields__}
    require(isinstance(values, dict) and values.keys() == keys, damaged)
    probs, emotion, verdict = values["probs"], values["emotion"], values["verdict"]
    sound = (
        type(values["schema"]) is int
        and values["schema"] == SCHEMA
        and values["when"] == name.split("-")[0]
        and isinstance(values["bundle"], str)
        and re.fullmatch("[0-9a-f]{64}", values["bundle"])
        and _is_share(values["seconds"], LONGEST)
        and isinstance(probs, dict)
        and 1 <= len(probs) <= 100
        and all(0 < len(label) <= 40 and label.isprintable() and _is_share(p) for label, p in probs.items())
        and (
            (type(emotion) is str and emotion in probs and verdict is None)
            if emotion is not None
            else verdict == Verdict.UNCERTAIN
        )
    )
    require(bool(sound), damaged)
    return Answer(values["bundle"], values["seconds"], emotion, None if verdict is None else Verdict(verdict), probs)


def _is_share(value: object, most: float = 1.0) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def as_json(answer: Answer, name: str) -> bytes:
    """The sidecar of the recording `name`, UTF-8."""
    values = {"schema": SCHEMA, "when": name.split("-")[0], **vars(answer)}
    return json.dumps(values, allow_nan=False).encode("ascii") + b"\n"
