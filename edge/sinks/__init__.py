"""Where the results go: text or JSON lines, a live view, a file, an MQTT broker. Each is an `edge.loop.events.Sink`.

A recording is read as fast as the sinks take its results, and a sink that fails ends the program: `FanOut` alone. A
microphone waits for nobody: `live` puts every sink behind a bounded queue and outlives its errors.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from edge.loop.events import Event, Sink
from edge.sinks.worker import Worker


class FanOut:
    """Every event to every sink, in order."""

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self._sinks = tuple(sinks)

    def write(self, seconds: float, event: Event) -> None:
        """Raises what a sink raises; BrokenPipeError if the reader of standard output has gone."""
        for sink in self._sinks:
            sink.write(seconds, event)

    def close(self) -> None:
        """Close every sink, whatever the others raise."""
        with ExitStack() as stack:
            for sink in reversed(self._sinks):
                stack.callback(sink.close)


def live(sinks: Mapping[str, Sink]) -> FanOut:
    """For a source that waits for nobody: name (for the log) -> sink, each behind a `Worker`."""
    return FanOut(Worker(sink, name) for name, sink in sinks.items())
