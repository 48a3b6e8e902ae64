"""A live view in the terminal, drawn with rich: probabilities, level, the last segments, counters, the last event.

`Screen` holds the content and needs no terminal; `TerminalSink` draws it; `as_svg` turns it into a picture.
"""

import io
import logging
import re
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO, cast

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.files.printable import shown
from edge.audio.events import AudioEvent
from edge.loop.counters import Tally
from edge.loop.events import Event, RuleEvent
from edge.sinks.lines import TextOutput, answer, described
from edge.stream.results import Segment, StreamResult

if TYPE_CHECKING:
    from rich.console import Console
    from rich.panel import Panel

SEGMENTS_SHOWN, MESSAGES_SHOWN = 6, 3
METER_DBFS = -60.0
"""Left end of the level meter, dB relative to full scale; its right end is full scale"""
COLOURS = {
    "neutral": "white",
    "calm": "cyan",
    "happy": "yellow",
    "sad": "blue",
    "angry": "red",
    "fearful": "magenta",
    "disgust": "green",
    "surprised": "bright_cyan",
    "bored": "bright_black",
    "excited": "bright_yellow",
    "frustrated": "bright_red",
}
"""Emotion -> colour; others are white"""


class Screen:
    """The content of the view: the newest of everything, in bounded memory. A rich renderable.

    Args:
        labels: names of a decision's probs, in order.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._tally = Tally()
        self._headline, self._level_dbfs = "waiting for audio", METER_DBFS
        self._probs: dict[str, float] = {}
        self._arousal: float | None = None
        self._has_arousal = False
        self._segments: deque[Segment] = deque(maxlen=SEGMENTS_SHOWN)
        self._audio: tuple[float, AudioEvent] | None = None
        self._rule: tuple[float, RuleEvent] | None = None
        self.messages: deque[str] = deque(maxlen=MESSAGES_SHOWN)
        """Lines of the log, the newest last"""

    def update(self, seconds: float, event: Event) -> None:
        """Take in one event."""
        self._tally.update(seconds, event)
        if isinstance(event, AudioEvent):
            self._audio = seconds, event
        elif isinstance(event, RuleEvent):
            self._rule = seconds, event
        elif isinstance(event, Segment):
            self._segments.append(event)
            self._headline, self._probs = f"last: {_described(event)}", event.probs
            self._see_arousal(event.arousal)
        else:
            self._level_dbfs = event.level_dbfs
            self._see_arousal(event.arousal)
            if event.probs is None:
                self._headline, self._probs = event.state.value, {}
            else:
                self._headline = f"now: {event.emotion} {event.confidence:.2f}"
                self._probs = dict(zip(self._labels, map(float, event.probs), strict=True))

    def _see_arousal(self, arousal: float | None) -> None:
        """A row for it appears with the first value: not every model estimates it."""
        self._arousal = arousal
        self._has_arousal = self._has_arousal or arousal is not None

    def __rich__(self) -> "Panel":
        from rich import box
        from rich.bar import Bar
        from rich.console import Group, RenderableType
        from rich.panel import Panel
        from rich.rule import Rule
        from rich.table import Table
        from rich.text import Text

        bars = Table.grid(padding=(0, 1), expand=True)
        bars.add_column(width=10)
        bars.add_column(ratio=1)
        bars.add_column(width=11, justify="right")
        level = self._level_dbfs
        bars.add_row("level", Bar(-METER_DBFS, 0, max(0.0, level - METER_DBFS), color="green"), f"{level:.1f} dBFS")
        for name in self._labels:
            p = self._probs.get(name)
            share = "" if p is None else f"{p:.2f}"
            bars.add_row(Text(name, COLOURS.get(name, "white")), Bar(1, 0, p or 0, color=_colour(name)), share)
        if self._has_arousal:
            value = "" if self._arousal is None else f"{self._arousal:.2f}"
            bars.add_row("arousal", Bar(1, 0, self._arousal or 0, color="green"), value)

        spoken = Table.grid(padding=(0, 1), expand=True)
        spoken.add_column(width=24, justify="right")
        spoken.add_column(ratio=1)
        for segment in self._segments:
            span = f"{segment.start_seconds:.1f} to {segment.end_seconds:.1f} s"
            spoken.add_row(span, Text(_described(segment), COLOURS.get(segment.emotion or "", "bright_black")))
        for _ in range(SEGMENTS_SHOWN - len(self._segments)):
            spoken.add_row("", "")

        t = self._tally
        counters = (
            f"{t.seconds_processed:.1f} s processed, {_count(t.results, 'decision')}, {_count(t.segments, 'segment')}, "
            f"{_count(t.overruns, 'overrun')}, {_count(t.reconnects, 'reconnect')}"
        )
        parts: list[RenderableType] = [bars, Rule("segments", style="bright_black"), spoken]
        parts += [Rule(style="bright_black"), Text(counters)]
        if self._rule is not None:
            at, fired = self._rule
            line = f"{at:.1f} s  rule {shown(fired.rule)}: {described(fired)}"
            parts.append(Text(line, "bold yellow", overflow="ellipsis", no_wrap=True))
        if self._audio is not None:
            seconds, event = self._audio
            line = f"{seconds:.1f} s  audio {event.kind.value}: {shown(event.message)}"
            parts.append(Text(line, "bold red" if t.problem else "", overflow="ellipsis", no_wrap=True))
        parts += [Text(shown(m), "yellow", overflow="ellipsis", no_wrap=True) for m in list(self.messages)]
        return Panel(Group(*parts), title=Text(self._headline, "bold"), title_align="left", box=box.ROUNDED)


class TerminalSink:
    """Draws a `Screen` in place: at once for a segment, else at most twice a second (ten times for audio events).

    While it is open, log lines for the terminal appear inside the view. It waits if the terminal stalls: put it behind
    a `Worker`.

    Args:
        out: a terminal, for example `StandardOutput()`.
        labels: names of a decision's probs, in order.
        clock: s, monotonic.

    Raises InputError if `out` is no terminal or rich is not installed.
    """

    def __init__(self, out: TextOutput, labels: tuple[str, ...], clock: Callable[[], float] = time.monotonic) -> None:
        try:
            from rich.console import Console
            from rich.live import Live
        except ImportError as error:
            raise InputError(f"the live view needs rich: {install('view')}") from error
        require(out.isatty(), "the live view needs a terminal, and standard output is none; leave --view out for lines")
        self.screen = Screen(labels)
        self._clock, self._drawn = clock, -1.0
        self._messages = _Messages(self.screen.messages)
        self._live = Live(
            self.screen,
            console=Console(file=cast(TextIO, out), force_terminal=True),  # rich needs a TextIOBase alone
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        self._replaced = _terminal_handlers()
        for handler in self._replaced:
            logging.getLogger().removeHandler(handler)
        logging.getLogger().addHandler(self._messages)

    def write(self, seconds: float, event: Event) -> None:
        self.screen.update(seconds, event)
        pause = 0.5 if isinstance(event, StreamResult) else 0.1 if isinstance(event, AudioEvent) else 0.0
        now = self._clock()
        if now - self._drawn >= pause:
            self._drawn = now
            self._live.refresh()

    def close(self) -> None:
        """Draw a last time and restore the terminal and the log."""
        logging.getLogger().removeHandler(self._messages)
        for handler in self._replaced:
            logging.getLogger().addHandler(handler)
        self._live.stop()


class _Messages(logging.Handler):
    """Collects log lines for the screen, without waiting for the terminal."""

    def __init__(self, messages: deque[str]) -> None:
        super().__init__()
        self._lines = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


def as_svg(screen: Screen, title: str, width: int = 80) -> str:
    """SVG of the screen, `width` characters wide; it loads no other files."""
    console = _recording(width)
    console.print(screen)
    return re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title=title), flags=re.DOTALL)


def as_plain_text(screen: Screen, width: int = 80) -> str:
    """The screen without colours."""
    console = _recording(width)
    console.print(screen)
    return console.export_text()


def _recording(width: int) -> "Console":
    from rich.console import Console

    return Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")


def _terminal_handlers() -> list[logging.Handler]:
    """Handlers of the root logger that write to a terminal and would disturb the view."""
    handlers = logging.getLogger().handlers
    opened = [h for h in handlers if isinstance(h, logging.StreamHandler) and h.stream]  # a file may not be open yet
    return [h for h in opened if h.stream.isatty()]


def _described(segment: Segment) -> str:
    """The answer of a segment; with its probability if it is an emotion, and the person if the loop knows several."""
    said = answer(segment) if segment.verdict else f"{answer(segment)} {segment.confidence:.2f}"
    return said if segment.person is None else f"{said}  {shown(segment.person)}"


def _colour(name: str) -> str:
    return COLOURS.get(name, "white")


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
