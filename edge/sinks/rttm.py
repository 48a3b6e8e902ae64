"""Segments as RTTM lines, for tools of speaker diarization: the emotion stands where they have the speaker.

The ten fields of appendix A of the NIST RT-09 evaluation plan, with single spaces between them: type, file, channel,
start and duration in seconds, orthography, speaker type, name, confidence, lookahead time; `<NA>` where there is none.
"""

import logging

from edge.loop.events import Event
from edge.sinks.lines import TextOutput
from edge.stream.results import Segment

log = logging.getLogger(__name__)


def as_rttm(segment: Segment, file: str) -> str:
    """One line, without its end. `file`: name of the recording; white space in it and in the emotion becomes `_`.

    >>> as_rttm(Segment(1.0, 3.25, "very happy", None, 0.75, {}), "call 1")
    'SPEAKER call_1 1 1.000 2.250 <NA> <NA> very_happy 0.750 <NA>'
    """
    start, end = round(segment.start_seconds, 3), round(segment.end_seconds, 3)
    times = f"{start:.3f} {max(end - start, 0.001):.3f}"
    return f"SPEAKER {_token(file)} 1 {times} <NA> <NA> {_token(segment.emotion or '')} {segment.confidence:.3f} <NA>"


def _token(text: str) -> str:
    """`text` as one field. Names that are not UTF-8 are escaped."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "_".join(text.split()) or "<NA>"


class RttmSink:
    """Writes a line for each segment that has an emotion; those without one are counted in the log at the end.

    Args:
        out: any text stream, which stays open.
        file: name of the recording, usually without its extension.
    """

    def __init__(self, out: TextOutput, file: str) -> None:
        self._out, self._file, self._without = out, file, 0

    def write(self, seconds: float, event: Event) -> None:
        if not isinstance(event, Segment):
            return
        if event.emotion is None:
            self._without += 1
            return
        self._out.write(as_rttm(event, self._file) + "\n")
        self._out.flush()

    def close(self) -> None:
        if self._without:
            log.info("%d segment(s) without an emotion are not in the RTTM", self._without)
        self._out.flush()
