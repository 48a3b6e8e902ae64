"""The listening loop: what a source gives goes to the recognizer, and what that tells goes to the sinks."""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from edge.loop.counters import Tally
from edge.loop.events import AudioEvent, AudioEventKind, Event, Segment, Sink
from edge.loop.utterances import UtteranceRecognizer


class Stop:
    """Becomes true once someone wants the loop to end; `also` is what wakes a source that waits."""

    def __init__(self, also: Callable[[], None] | None = None) -> None:
        self._also, self._wanted = also, False

    def __bool__(self) -> bool:
        return self._wanted

    def __call__(self, *_) -> None:
        """Ask for it. A second time, for whatever does not listen: raises KeyboardInterrupt."""
        if self._wanted:
            raise KeyboardInterrupt
        self._wanted = True
        if self._also is not None:
            self._also()


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """While this lasts, Ctrl-C and SIGTERM ask for the end and do not break off what is being computed."""
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
