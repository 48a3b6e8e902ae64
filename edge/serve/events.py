"""A sink that stores events as the plain values of `stream_infer.py --json`, until they are taken."""

from edge.loop.events import Event
from edge.sinks.lines import as_dict
from edge.stream.results import StreamResult


class Events:
    """Collects what the loop reports; `decisions`: also every decision, four a second while someone speaks."""

    def __init__(self, labels: tuple[str, ...], decisions: bool = False) -> None:
        self._labels, self._decisions = labels, decisions
        self._held: list[dict] = []

    def write(self, seconds: float, event: Event) -> None:
        if self._decisions or not isinstance(event, StreamResult):
            self._held.append(as_dict(seconds, event, self._labels))

    def take(self) -> list[dict]:
        """What came since the last call, in order."""
        held, self._held = self._held, []
        return held

    def close(self) -> None:
        """Nothing is buffered elsewhere."""
