"""A sink of one's own: seconds of each emotion in a recording. python examples/own_sink.py recording.wav

A sink is any object with `write` and `close`; `listen` passes every event to it. It gets the same events from a
microphone: replace `from_file(...)` by `edge.audio.microphone.Microphone(model.sample_rate)` (the extra `mic`).
"""

import sys
from collections import Counter
from pathlib import Path

from edge import open_model
from edge.audio.sources import from_file
from edge.loop.events import Event
from edge.loop.listening import listen
from edge.stream.results import Segment


class SecondsPerEmotion:
    """Adds up the length of the segments, by emotion or by the reason why there is none."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def write(self, seconds: float, event: Event) -> None:
        """`seconds`: audio time. Other events are decisions (StreamResult) and the state of the audio (AudioEvent)."""
        if isinstance(event, Segment):
            self.seconds[str(event.emotion or event.verdict)] += event.end_seconds - event.start_seconds

    def close(self) -> None:
        for name, total in self.seconds.most_common():
            print(f"{name:12} {total:6.2f} s")


model = open_model()
sink = SecondsPerEmotion()
listen(from_file(Path(sys.argv[1]), model.sample_rate), model.utterances(), sink)
sink.close()
