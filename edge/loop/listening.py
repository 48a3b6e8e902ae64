"""The listening loop: what a source gives goes to the recognizer, and what that tells goes to the sinks."""

from collections.abc import Iterable

import numpy as np

from edge.audio.events import AudioEvent, AudioEventKind
from edge.audio.stop import Stop
from edge.loop.counters import Tally
from edge.loop.events import Event, Sink
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.results import Segment


def listen(
    source: Iterable[np.ndarray | AudioEvent], recognizer: UtteranceRecognizer, sink: Sink, stop: Stop | None = None
) -> Tally:
    """Hear `source` to its end, or until `stop`; whatever is being said then is still decided.

    `source` gives chunks `(time,)` float32, mono, at the bundle's rate, and audio events in their places among them.
    An event with a gap ends the utterance and moves the clock. Every event goes to `sink` with the audio time, s, at
    which it was known; the last is STOPPED. Returns the counters of the whole run.

    Raises what the source and the sink raise.
    """
    tally = Tally()
    latest = 0.0

    def tell(events: Iterable[Event]) -> None:
        nonlocal latest
        for event in events:
            at = event.end_seconds if isinstance(event, Segment) else getattr(event, "seconds", recognizer.seconds)
            latest = max(latest, at)
            tally.update(latest, event)
            sink.write(latest, event)

    for heard in source:
        if isinstance(heard, AudioEvent):
            if heard.gap_seconds:
                tell(recognizer.gap(heard.gap_seconds))
            tell([heard])
        else:
            tell(recognizer.push(heard))
        if stop:
            break
    tell(recognizer.flush())
    tell([AudioEvent(AudioEventKind.STOPPED, "stopped" if stop else "the audio has ended")])
    return tally
