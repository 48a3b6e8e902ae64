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


def listen(
    source: Iterable[np.ndarray | AudioEvent],
    recognizer: UtteranceRecognizer,
    sink: Sink,
    stop: Stop | None = None,
    rules: RuleEngine | None = None,
) -> Tally:
    """Process `source` to its end, or until `stop`; an utterance that is open then is still decided.

    `source` gives chunks `(time,)` float32, mono, at the bundle's rate, and audio events in their places among them.
    An event with a gap ends the utterance and moves the clock; MUTED ends it as well. Every event goes to `sink` with
    the audio time, s, at which it was known; the last is STOPPED. The event of a rule of `rules` that fires follows the
    segment that completed its row. Returns the counters of the whole run.

    Raises what the source and the sink raise.
    """
    tally = Tally()
    latest = 0.0

    def report(events: Iterable[Event]) -> None:
        nonlocal latest
        for event in events:
            if isinstance(event, Segment | RuleEvent):
                at = event.end_seconds
            else:
                at = getattr(event, "seconds", recognizer.seconds)
            latest = max(latest, at)
            tally.update(latest, event)
            sink.write(latest, event)
            if rules is not None and isinstance(event, Segment):
                report(rules.update(event))

    for item in source:
        if isinstance(item, AudioEvent):
            if item.gap_seconds or item.kind is AudioEventKind.MUTED:
                report(recognizer.gap(item.gap_seconds))
            report([item])
        else:
            report(recognizer.push(item))
        if stop:
            break
    report(recognizer.flush())
    report([AudioEvent(AudioEventKind.STOPPED, "stopped" if stop else "the audio has ended")])
    return tally
