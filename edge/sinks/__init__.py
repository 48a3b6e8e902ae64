"""Outputs of the results: text or JSON lines, a live view, a file, an MQTT broker. Each is an `edge.loop.events.Sink`.

For a recording use `FanOut`: reading waits for the sinks, and a sink that fails ends the program. For a microphone use
`live`: every sink has a bounded queue, and its errors are logged.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from edge.loop.events import Event, Sink
from edge.sinks.worker import Worker


class FanOut:
    """Passes every event to every sink, in order."""

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self._sinks = tuple(sinks)

    def write(self, seconds: float, event: Event) -> None:
        """Raises what a sink raises; BrokenPipeError if the reader of standard output is closed."""
        for sink in self._sinks:
            sink.write(seconds, event)

    def hung_seconds(self) -> float:
        """For how long, s, a sink behind a `Worker` has been writing one event: the longest; 0 if none writes."""
        return max((sink.hung_seconds for sink in self._sinks if isinstance(sink, Worker)), default=0.0)

    def close(self) -> None:
        """Close every sink, even if others raise."""
        with ExitStack() as stack:
            for sink in reversed(self._sinks):
                stack.callback(sink.close)


def live(sinks: Mapping[str, Sink]) -> FanOut:
    """For a microphone: each sink behind a `Worker`. `sinks`: name (for the log) -> sink."""
    return FanOut(Worker(sink, name) for name, sink in sinks.items())
