"""The browser's microphone, heard as the device hears its own: one recognizer per session, and so many sessions.

The page sends samples and is answered with HTML to show and rows of CSV to keep; nothing that was heard is written to
a disk or outlives its session. Every request waits for the answer to the one before: a slow machine is noticed in the
browser, which then drops audio and says how much.
"""

import csv
import io
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock

import numpy as np

from crnn.errors import InputError, require
from edge.audio.events import AudioEvent
from edge.audio.signal_monitor import InputWatch
from edge.audio.sources import StreamResampler, check_format
from edge.audio.vad import make_vad
from edge.bundle import Bundle
from edge.loop.utterances import UtteranceRecognizer
from edge.page import html as words
from edge.sinks.lines import as_dict
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.results import Segment, StreamResult, Verdict

IDLE_SECONDS = 15.0
"""A session that sent nothing for so long has ended: the tab was closed, the network went"""
MAX_CHUNK_SECONDS = 6.0
"""Of one request"""
ZEROS_SECONDS, CLIP_SHARE = 5.0, 0.01
"""What `edge.audio.signal_monitor` tells"""
FLOOR_DBFS = -60.0
"""Left end of the level meter"""


class LiveSession:
    """What one browser's microphone is heard with.

    Args:
        recognizer: nobody else's.
        rate: Hz, of the samples that will come.
    """

    def __init__(self, recognizer: StreamingRecognizer, gate: str, rate: int) -> None:
        check_format("the microphone", rate, channels=1)
        self._rate, self._labels = rate, recognizer.labels
        self._decision = recognizer.decision
        self._resample = StreamResampler(rate, recognizer.features.sample_rate)
        self._utterances = UtteranceRecognizer(recognizer, make_vad(gate, recognizer.features.sample_rate))
        self._watch = InputWatch(rate, ZEROS_SECONDS, CLIP_SHARE)
        self._last: StreamResult | None = None
        self._message = ""
        self._level = FLOOR_DBFS
        self._lock = Lock()

    @property
    def csv_header(self) -> str:
        """Names of the columns of `csv`, a line."""
        return _csv_line(["time", "start_seconds", "end_seconds", "emotion", "verdict", "confidence", *self._labels])

    def push(self, data: bytes, missing_seconds: float = 0.0) -> dict:
        """Hear float32 little-endian mono samples, after a gap of `missing_seconds`.

        Returns `panel` (HTML of the moment), `rows` (HTML) and `csv` (lines) of the segments that ended. Raises
        InputError for what are no samples.
        """
        require(len(data) % 4 == 0, "the browser sent half a sample")
        require(len(data) <= 4 * self._rate * MAX_CHUNK_SECONDS, f"more than {MAX_CHUNK_SECONDS:g} s of audio at once")
        samples = np.frombuffer(data, dtype="<f4")
        require(bool(np.isfinite(samples).all()), "the browser sent samples that are no numbers")
        require(0 <= missing_seconds < 1e6, f"{missing_seconds} s cannot be missing")
        samples = np.clip(samples, -1, 1)  # finite, yet resampling could overflow
        with self._alone():
            told = self._utterances.gap(missing_seconds) if missing_seconds else []
            for event in self._watch.update(samples[:, None]):
                self._notice(event)
            if missing_seconds:
                self._message = f"{missing_seconds:.1f} s of audio were dropped: this machine is too slow for it"
            if len(samples):
                self._level = max(FLOOR_DBFS, 10 * np.log10(max(float(np.mean(samples**2)), 1e-12)))
            return self._told([*told, *self._utterances.push(self._resample(samples[:, None]))])

    def end(self) -> dict:
        """Decide what is being said; the session is over. Returns what `push` does."""
        with self._lock:
            rest = self._resample(np.zeros((0, 1), dtype=np.float32), last=True)
            told = self._told([*self._utterances.push(rest), *self._utterances.flush()])
            return told | {"panel": self._show("stopped", {}, FLOOR_DBFS)}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Raises InputError while another request is being heard: waiting would hold a thread of the server."""
        require(
            self._lock.acquire(blocking=False), "the samples before these are still being heard; send one at a time"
        )
        try:
            yield
        finally:
            self._lock.release()

    def _notice(self, event: AudioEvent) -> None:
        self._message = f"{event.kind.value}: {event.message}"

    def _told(self, told: Iterable[StreamResult | Segment]) -> dict:
        rows, lines = [], []
        for event in told:
            if isinstance(event, Segment):
                rows.append(words.segment_row(event, self._decision, self._utterances.settings))
                lines.append(self._line(event))
            else:
                self._last = event
        if not self._utterances.open:
            self._last = None
        return {"panel": self._panel(), "rows": rows, "csv": lines}

    def _panel(self) -> str:
        last = self._last
        if not self._utterances.open:
            now, shown = "listening", {}
        elif last is None or last.probs is None:
            now, shown = "warming up", {}
        elif last.emotion == Verdict.NOISE:
            now, shown = "noise", {}
        else:
            now, shown = f"{last.emotion} {last.confidence:.2f}", dict(zip(self._labels, last.probs, strict=True))
        return self._show(now, shown, self._level)

    def _show(self, now: str, shown: dict[str, float], level: float) -> str:
        wide = 100 * (level - FLOOR_DBFS) / -FLOOR_DBFS
        meter = f"{level:.0f} dBFS, " if level > FLOOR_DBFS else ""
        return (
            f'<div><div class="ser-now">{words.escaped(now)}</div>'
            f'<div class="ser-meter"><b style="width:{min(wide, 100):.0f}%"></b></div>'
            f'<span class="ser-note">{meter}{self._utterances.seconds:.1f} s heard</span>'
            f"{words.note(self._message) if self._message else ''}</div>"
            f"<div>{words.bars(shown or dict.fromkeys(self._labels))}</div>"
        )

    def _line(self, segment: Segment) -> str:
        values = as_dict(segment.end_seconds, segment, self._labels)
        names = ("start_seconds", "end_seconds", "emotion", "verdict", "confidence")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return _csv_line([now, *(values[n] for n in names), *(values["probs"].get(label) for label in self._labels)])


class LiveSessions:
    """The sessions there are, each known only to the page that opened it.

    Args:
        bundles: by the name that the page shows.
        most: sessions at a time.
        clock: s, monotonic.
    """

    def __init__(
        self,
        bundles: Mapping[str, Bundle],
        runtime: str | None,
        gate: str,
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bundles, self._runtime, self._vad, self._most, self._clock = bundles, runtime, gate, most, clock
        self._open: dict[str, LiveSession | None] = {}
        self._heard: dict[str, float] = {}
        self._lock = Lock()

    def open(self, bundle: str, rate: int) -> tuple[str, LiveSession]:
        """A new session and its key. Raises InputError if there are enough, or for a name or rate there is not."""
        require(bundle in self._bundles, f"there is no model {bundle!r} here; reload the page")
        with self._lock:
            for key in [key for key, heard in self._heard.items() if self._clock() - heard > IDLE_SECONDS]:
                self._forget(key)
            require(
                len(self._open) < self._most,
                f"{self._most} microphones are being listened to already; stop one, or try again in "
                f"{IDLE_SECONDS:.0f} s",
            )
            key = secrets.token_urlsafe(24)
            self._open[key], self._heard[key] = None, self._clock()  # its place, while others go on being heard
        try:
            session = LiveSession(self._bundles[bundle].recognizer(self._runtime), self._vad, rate)
        except BaseException:
            with self._lock:
                self._forget(key)
            raise
        with self._lock:
            self._open[key], self._heard[key] = session, self._clock()
        return key, session

    def get(self, key: str) -> LiveSession:
        """Raises InputError if there is none, or no more."""
        with self._lock:
            session = self._open.get(key)
            if session is None:
                raise InputError("this session has ended; start again")
            self._heard[key] = self._clock()
            return session

    def close(self, key: str) -> dict:
        """What the session still had to tell; it is gone."""
        session = self.get(key)
        with self._lock:
            self._forget(key)
        return session.end()

    def _forget(self, key: str) -> None:
        self._open.pop(key, None)
        self._heard.pop(key, None)


def _csv_line(values: list) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(["" if value is None else value for value in values])
    return out.getvalue()
