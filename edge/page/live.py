"""The browser's microphone, processed as the device processes its own: one recognizer per session.

The page sends samples; the answer is HTML to show and rows of CSV. No audio is written to a disk, and nothing outlives
its session. The browser sends the next request after the answer to the one before. If the machine is too slow, the
browser drops audio and reports how much.
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
from edge.audio.level import level_dbfs
from edge.audio.signal_monitor import SignalMonitor
from edge.audio.sources import StreamResampler, check_format
from edge.audio.vad import make_vad
from edge.bundle import Bundle
from edge.loop.utterances import UtteranceRecognizer
from edge.page import html as words
from edge.page.recent import RecentLabels
from edge.sinks.lines import as_dict
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.results import Segment, StreamResult, Verdict

IDLE_SECONDS = 15.0
"""s without a request after which a session ends: the tab was closed, or the connection was lost"""
MAX_CHUNK_SECONDS = 6.0
"""s of audio in one request, at most"""
ZEROS_SECONDS, CLIP_SHARE = 5.0, 0.01
"""Thresholds of `edge.audio.signal_monitor`"""
METER_MIN_DBFS = -60.0
"""Left end of the level meter"""


class LiveSession:
    """The recognizer of one browser's microphone.

    Args:
        recognizer: of this session alone.
        rate: Hz of the samples.
    """

    def __init__(self, recognizer: StreamingRecognizer, vad: str, rate: int) -> None:
        check_format("the microphone", rate, channels=1)
        self._rate, self._labels = rate, recognizer.labels
        self._has_arousal = recognizer.arousal
        self._before_probs = ["start_seconds", "end_seconds", "emotion", "verdict", "confidence"]
        self._before_probs += ["arousal"] if self._has_arousal else []
        self._decision = recognizer.decision
        self._resample = StreamResampler(rate, recognizer.features.sample_rate)
        self._utterances = UtteranceRecognizer(recognizer, make_vad(vad, recognizer.features.sample_rate))
        self._watch = SignalMonitor(rate, ZEROS_SECONDS, CLIP_SHARE)
        interval = recognizer.geometry.interval_samples / recognizer.features.sample_rate
        self._recent = RecentLabels(recognizer.labels, interval)
        self._last: StreamResult | None = None
        self._message = ""
        self._level = METER_MIN_DBFS
        self._lock = Lock()

    @property
    def csv_header(self) -> str:
        """The line with the column names of `csv`."""
        return _csv_line(["time", *self._before_probs, *self._labels])

    def push(self, data: bytes, missing_seconds: float = 0.0) -> dict:
        """Process float32 little-endian mono samples, after a gap of `missing_seconds`.

        Returns `panel` (HTML of the current state), `rows` (HTML) and `csv` (lines) of the segments that ended. Raises
        InputError if `data` are not samples.
        """
        require(len(data) % 4 == 0, "the browser sent half a sample")
        require(len(data) <= 4 * self._rate * MAX_CHUNK_SECONDS, f"more than {MAX_CHUNK_SECONDS:g} s of audio at once")
        samples = np.frombuffer(data, dtype="<f4")
        require(bool(np.isfinite(samples).all()), "the browser sent NaN or infinite samples")
        require(0 <= missing_seconds < 1e6, f"{missing_seconds} s cannot be missing")
        samples = np.clip(samples, -1, 1)  # finite, yet resampling could overflow
        with self._alone():
            results = self._utterances.gap(missing_seconds) if missing_seconds else []
            for event in self._watch.update(samples[:, None]):
                self._notice(event)
            if missing_seconds:
                self._message = f"{missing_seconds:.1f} s of audio were dropped: this machine is too slow for it"
            if len(samples):
                self._level = max(METER_MIN_DBFS, level_dbfs(samples))
            return self._report([*results, *self._utterances.push(self._resample(samples[:, None]))])

    def end(self) -> dict:
        """Finish the current utterance and the session. Returns the same as `push`."""
        with self._lock:
            rest = self._resample(np.zeros((0, 1), dtype=np.float32), last=True)
            report = self._report([*self._utterances.push(rest), *self._utterances.flush()])
            return report | {"panel": self._show("stopped", {}, METER_MIN_DBFS)}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Raises InputError while another request is processed: waiting would block a thread of the server."""
        require(
            self._lock.acquire(blocking=False),
            "earlier samples are still being processed; send one request at a time",
        )
        try:
            yield
        finally:
            self._lock.release()

    def _notice(self, event: AudioEvent) -> None:
        self._message = f"{event.kind.value}: {event.message}"

    def _report(self, results: Iterable[StreamResult | Segment]) -> dict:
        rows, lines = [], []
        for event in results:
            if isinstance(event, Segment):
                rows.append(words.segment_row(event, self._decision, self._utterances.settings))
                lines.append(self._line(event))
            else:
                self._last = event
                self._recent.add(event)
        if not self._utterances.open:
            self._last = None
        return {"panel": self._panel(), "rows": rows, "csv": lines}

    def _panel(self) -> str:
        last = self._last
        shown: dict[str, float] = {}
        if not self._utterances.open:
            now = "listening"
        elif last is None or last.probs is None:
            now = "warming up"
        elif last.emotion == Verdict.NOISE:
            now = "noise"
        else:
            now, shown = f"{last.emotion} {last.confidence:.2f}", dict(zip(self._labels, last.probs, strict=True))
        return self._show(now, shown, self._level, last.arousal if last and shown else None)

    def _show(self, now: str, shown: dict[str, float], level: float, arousal: float | None = None) -> str:
        wide = 100 * (level - METER_MIN_DBFS) / -METER_MIN_DBFS
        meter = f"{level:.0f} dBFS, " if level > METER_MIN_DBFS else ""
        return (
            f'<div><div class="ser-now">{words.escaped(now)}</div>'
            f'<div class="ser-meter"><b style="width:{min(wide, 100):.0f}%"></b></div>'
            f'<span class="ser-note">{meter}{self._utterances.seconds:.1f} s processed</span>'
            f"{words.note(self._message) if self._message else ''}</div>"
            f"<div>{words.bars(shown or dict.fromkeys(self._labels))}"
            f"{words.arousal_bar(arousal) if self._has_arousal else ''}</div>"
            f"{self._recent.picture(self._utterances.seconds)}"
        )

    def _line(self, segment: Segment) -> str:
        values = as_dict(segment.end_seconds, segment, self._labels)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        before = [values.get(name) for name in self._before_probs]
        return _csv_line([now, *before, *(values["probs"].get(label) for label in self._labels)])


class LiveSessions:
    """All open sessions; only the page that opened a session knows its key.

    Args:
        bundles: by the name that the page shows.
        most: sessions at a time, at most.
        clock: s, monotonic.
    """

    def __init__(
        self,
        bundles: Mapping[str, Bundle],
        runtime: str | None,
        vad: str,
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bundles, self._runtime, self._vad, self._most, self._clock = bundles, runtime, vad, most, clock
        self._open: dict[str, LiveSession | None] = {}
        self._last_request: dict[str, float] = {}
        self._lock = Lock()

    def open(self, bundle: str, rate: int) -> tuple[str, LiveSession]:
        """A new session and its key. Raises InputError if all are taken, or for an unknown name or an unusable rate."""
        require(bundle in self._bundles, f"there is no model {bundle!r} here; reload the page")
        with self._lock:
            for key in [key for key, at in self._last_request.items() if self._clock() - at > IDLE_SECONDS]:
                self._forget(key)
            require(
                len(self._open) < self._most,
                f"{self._most} microphones are being listened to already; stop one, or try again in "
                f"{IDLE_SECONDS:.0f} s",
            )
            key = secrets.token_urlsafe(24)
            self._open[key], self._last_request[key] = None, self._clock()  # reserved while the model loads
        try:
            session = LiveSession(self._bundles[bundle].recognizer(self._runtime), self._vad, rate)
        except BaseException:
            with self._lock:
                self._forget(key)
            raise
        with self._lock:
            self._open[key], self._last_request[key] = session, self._clock()
        return key, session

    def get(self, key: str) -> LiveSession:
        """The session of a key. Raises InputError if there is none, or it has ended."""
        with self._lock:
            session = self._open.get(key)
            if session is None:
                raise InputError("this session has ended; start again")
            self._last_request[key] = self._clock()
            return session

    def close(self, key: str) -> dict:
        """End a session; returns its last results."""
        session = self.get(key)
        with self._lock:
            self._forget(key)
        return session.end()

    def _forget(self, key: str) -> None:
        self._open.pop(key, None)
        self._last_request.pop(key, None)


def _csv_line(values: list) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(["" if value is None else value for value in values])
    return out.getvalue()
