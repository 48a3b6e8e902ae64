"""Events as lines of text or JSON; the only place that defines the JSON form."""

import io
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

import numpy as np

from crnn.errors import require
from crnn.files.printable import shown
from edge.audio.events import AudioEvent, AudioEventKind
from edge.loop.events import Event, RuleEvent
from edge.stream.results import Segment, State, StreamResult, Verdict

STDOUT = 1

TextOutput = TextIO | io.TextIOBase
"""A file that is open for text, or `StandardOutput`"""


def as_dict(seconds: float, event: Event, labels: tuple[str, ...]) -> dict:
    """Plain values of an event, for JSON. `labels`: names of a decision's probs, in order.

    `type` is hop, segment, audio or rule; seconds have 4 decimals, probabilities and arousal 6, levels 2. A decision
    while warming up has no `emotion`, `confidence` and `probs`; only a result with an arousal has `arousal`, and only
    one of a loop that adapts `adapted`, and only a segment of one that chooses among people `person`. A number that is
    not finite is None.

    >>> as_dict(1.25, AudioEvent(AudioEventKind.LOST, "no samples"), ())
    {'type': 'audio', 'seconds': 1.25, 'kind': 'lost', 'message': 'no samples', 'gap_seconds': 0.0}
    """
    if isinstance(event, AudioEvent):
        return {
            "type": "audio",
            "seconds": _number(seconds, 4),
            "kind": event.kind.value,
            "message": event.message,
            "gap_seconds": _number(event.gap_seconds, 4),
        }
    if isinstance(event, RuleEvent):
        return {
            "type": "rule",
            "seconds": _number(seconds, 4),
            "rule": event.rule,
            "emotion": event.emotion,
            "confidence": _number(event.confidence, 6),
            "start_seconds": _number(event.start_seconds, 4),
            "end_seconds": _number(event.end_seconds, 4),
            "speech_seconds": _number(event.speech_seconds, 4),
            "segments": event.segments,
        }
    more: dict[str, float | None] = {} if event.arousal is None else {"arousal": _number(event.arousal, 6)}
    more |= {} if event.adapted is None else {"adapted": event.adapted}
    if isinstance(event, Segment):
        return {
            "type": "segment",
            "seconds": _number(seconds, 4),
            "start_seconds": _number(event.start_seconds, 4),
            "end_seconds": _number(event.end_seconds, 4),
            "emotion": event.emotion,
            "verdict": None if event.verdict is None else event.verdict.value,
            "confidence": _number(event.confidence, 6),
            "probs": {name: _number(p, 6) for name, p in event.probs.items()},
            **more,
            **({} if event.person is None else {"person": event.person}),
        }
    values: dict[str, object] = {
        "type": "hop",
        "seconds": _number(seconds, 4),
        "state": event.state.value,
        "level_dbfs": _number(event.level_dbfs, 2),
    }
    if event.probs is not None and event.confidence is not None:
        probs = {name: _number(p, 6) for name, p in zip(labels, event.probs, strict=True)}
        values |= {"emotion": event.emotion, "confidence": _number(event.confidence, 6), "probs": probs}
    return values | more


def from_dict(values: Mapping) -> tuple[float, Event]:
    """The event of such values, to read a log. Logits are not in a log: they become None.

    Raises ValueError, KeyError or TypeError for values that `as_dict` does not make; further keys are allowed.
    """
    kind, seconds = values["type"], _float(values["seconds"])
    arousal = _float(values["arousal"]) if "arousal" in values else None
    adapted = int(values["adapted"]) if "adapted" in values else None
    if kind == "rule":
        start, end, speech = (_float(values[f"{part}_seconds"]) for part in ("start", "end", "speech"))
        confidence, segments = _float(values["confidence"]), int(values["segments"])
        return seconds, RuleEvent(values["rule"], values["emotion"], confidence, start, end, speech, segments)
    if kind == "audio":
        event = AudioEvent(AudioEventKind(values["kind"]), values["message"], _float(values["gap_seconds"]))
        return seconds, event
    if kind == "segment":
        probs = {name: _float(p) for name, p in values["probs"].items()}
        verdict = None if values["verdict"] is None else Verdict(values["verdict"])
        person = str(values["person"]) if "person" in values else None
        start, end = _float(values["start_seconds"]), _float(values["end_seconds"])
        confidence = _float(values["confidence"])
        return seconds, Segment(start, end, values["emotion"], verdict, confidence, probs, arousal, adapted, person)
    if kind != "hop":
        raise ValueError(f"type {kind!r} is not hop, segment, audio or rule")
    state, level = State(values["state"]), _float(values["level_dbfs"])
    if "probs" not in values:
        return seconds, StreamResult(seconds, state, level, None, None, None, None)
    smoothed = np.array([_float(p) for p in values["probs"].values()], dtype=np.float32)
    confidence = _float(values["confidence"])
    return seconds, StreamResult(
        *(seconds, state, level, None, smoothed, values["emotion"], confidence), arousal=arousal, adapted=adapted
    )


def as_json(seconds: float, event: Event, labels: tuple[str, ...]) -> str:
    """One line of JSON (ASCII), without its end."""
    return json.dumps(as_dict(seconds, event, labels), allow_nan=False)


def as_dated_json(seconds: float, event: Event, labels: tuple[str, ...], **more: object) -> str:
    """The same with the wall-clock `time` (ISO 8601, UTC) first and `more` last."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": now} | as_dict(seconds, event, labels) | more, allow_nan=False)


def as_text(seconds: float, event: Event, labels: tuple[str, ...]) -> str:
    """One line for a person, without its end.

    >>> as_text(3.5, Segment(1.0, 3.25, "happy", None, 0.75, {"happy": 0.75, "sad": 0.25}), ())
    '    3.50 s  segment     1.00 to 3.25 s  happy      0.75  | happy 0.75  sad 0.25'
    """
    head = f"{seconds:8.2f} s  "
    if isinstance(event, AudioEvent):
        gap = f" ({event.gap_seconds:.2f} s are missing)" if event.gap_seconds else ""
        return f"{head}audio       {event.kind.value}: {shown(event.message)}{gap}"
    if isinstance(event, RuleEvent):
        return f"{head}rule        {shown(event.rule)}: {described(event)}"
    if isinstance(event, Segment):
        span = f"{event.start_seconds:.2f} to {event.end_seconds:.2f} s"
        line = f"{head}segment     {span}  {answer(event):10} {event.confidence:.2f}"
        probs = event.probs
    else:
        line = f"{head}{event.state.value:10}  {event.level_dbfs:6.1f} dBFS"
        if event.probs is None:
            return line
        line += f"  {event.emotion:10} {event.confidence:.2f}"
        probs = dict(zip(labels, event.probs, strict=True))
    if event.arousal is not None:
        line += f"  arousal {event.arousal:.2f}"
    if event.adapted is not None:
        line += f"  adapted to {event.adapted}"
    if isinstance(event, Segment) and event.person is not None:
        line += f"  {shown(event.person)}"
    return line + ("  | " + "  ".join(f"{name} {p:.2f}" for name, p in probs.items()) if probs else "")


def described(event: RuleEvent) -> str:
    """What made a rule fire."""
    many = f", {event.segments} segments" if event.segments > 1 else ""
    return f"{event.emotion} {event.confidence:.2f} for {event.speech_seconds:.1f} s{many}"


def answer(segment: Segment) -> str:
    """The emotion, or why there is none."""
    return segment.emotion or (segment.verdict.value if segment.verdict else "")


class LinesSink:
    """Writes a line per event to a text stream and flushes it; the stream stays open.

    Args:
        out: any text stream; `StandardOutput()` for standard output.
        labels: names of a decision's probs, in order.
        show: `as_text` or `as_json`.
        decisions: whether decisions are written as well.
    """

    def __init__(
        self,
        out: TextOutput,
        labels: tuple[str, ...],
        show: Callable[[float, Event, tuple[str, ...]], str] = as_text,
        decisions: bool = True,
    ) -> None:
        self._out, self._labels, self._show, self._decisions = out, labels, show, decisions

    def write(self, seconds: float, event: Event) -> None:
        if isinstance(event, StreamResult) and not self._decisions:
            return
        self._out.write(self._show(seconds, event, self._labels) + "\n")
        self._out.flush()

    def close(self) -> None:
        self._out.flush()


class StandardOutput(io.TextIOBase):
    """Standard output without Python's buffer.

    If a reader stalls, a thread inside `sys.stdout.write` holds the lock of its buffer, and the interpreter aborts on
    that lock at exit. This class has no lock and no buffer.

    Raises InputError if standard output is closed: its number may then belong to another file.
    """

    encoding = "utf-8"  # that of the base class cannot be set

    def __init__(self, fd: int = STDOUT) -> None:
        require(sys.stdout is not None, "standard output is closed; leave it open, or send it to /dev/null")
        self._fd, self.encoding = fd, sys.stdout.encoding or "utf-8"

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        data = memoryview(text.encode(self.encoding, "replace"))
        while data:
            data = data[os.write(self._fd, data) :]
        return len(text)


def _number(value: float, digits: int) -> float | None:
    value = float(value)
    return round(value, digits) if math.isfinite(value) else None


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)
