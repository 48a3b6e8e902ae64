"""The listening loop: chunks of a source go to the recognizer, its results to a sink."""

from collections.abc import Iterable

import numpy as np

from edge.audio.events import AudioEvent, AudioEventKind
from edge.audio.stop import Stop
from edge.loop.counters import Tally
from edge.loop.events import Event, RuleEvent, Sink
from edge.loop.rule_engine import RuleEngine
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.results import Segment

ENDED = "the audio has ended"
"""Message of the last event"""


class Listening:
    """The loop, for a source that gives instead of being asked: `push` what comes, then `end`.

    Every event goes to `sink` with the audio time, s, at which it was known. The event of a rule of `rules` that fires
    follows the segment that completed its row.
    """

    def __init__(self, recognizer: UtteranceRecognizer, sink: Sink, rules: RuleEngine | None = None) -> None:
        self._recognizer, self._sink, self._rules = recognizer, sink, rules
        self._latest = 0.0
        self.tally = Tally()
        """Counters so far"""

    def push(self, item: np.ndarray | AudioEvent) -> None:
        """Take a chunk `(time,)` float32, mono, at the bundle's rate, or an audio event in its place among them.

        An event with a gap ends the utterance and moves the clock; MUTED ends it as well. Raises what the sink raises.
        """
        if not isinstance(item, AudioEvent):
            self._report(self._recognizer.push(item))
            return
        if item.gap_seconds or item.kind is AudioEventKind.MUTED:
            self._report(self._recognizer.gap(item.gap_seconds))
        self._report([item])

    def end(self, why: str) -> None:
        """Decide an utterance that is still open; the last event is STOPPED, with the message `why`."""
        self._report(self._recognizer.flush())
        self._report([AudioEvent(AudioEventKind.STOPPED, why)])

    def _report(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Segment | RuleEvent):
                at = event.end_seconds
            else:
                at = getattr(event, "seconds", self._recognizer.seconds)
            self._latest = max(self._latest, at)
            self.tally.update(self._latest, event)
            self._sink.write(self._latest, event)
            if self._rules is not None and isinstance(event, Segment):
                self._report(self._rules.update(event))


def listen(
    source: Iterable[np.ndarray | AudioEvent],
    recognizer: UtteranceRecognizer,
    sink: Sink,
    stop: Stop | None = None,
    rules: RuleEngine | None = None,
) -> Tally:
    """Process `source` to its end, or until `stop`, as `Listening` does; an utterance that is open then is still
    decided. Returns the counters of the whole run.

    Raises what the source and the sink raise.
    """
    loop = Listening(recognizer, sink, rules)
    for item in source:
        loop.push(item)
        if stop:
            break
    loop.end("stopped" if stop else ENDED)
    return loop.tally
