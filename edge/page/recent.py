"""The last seconds of the live label as one SVG: a curve for the probability of each emotion."""

from collections import deque
from collections.abc import Sequence

from edge.page.html import colour, escaped
from edge.stream.results import StreamResult, Verdict

SECONDS = 5.0
"""s that are shown"""
WIDTH, TOP, HIGH, HEIGHT = 1000, 6, 100, 128
"""Of the picture; top and height of the curves"""


class RecentLabels:
    """What was decided lately.

    Args:
        labels: emotions, in the order of the probabilities.
        interval_seconds: s between two decisions.
    """

    def __init__(self, labels: Sequence[str], interval_seconds: float) -> None:
        self._labels, self._interval = labels, interval_seconds
        self._decided: deque[tuple[float, list[float]]] = deque()

    def add(self, result: StreamResult) -> None:
        """Only a decision about a voice has a place in the curves."""
        if result.probs is not None and result.emotion != Verdict.NOISE:
            if self._decided and self._decided[-1][0] == result.seconds:  # padding at the end gives several
                self._decided.pop()
            self._decided.append((result.seconds, result.probs.tolist()))

    def picture(self, now: float) -> str:
        """The `SECONDS` before `now`, the audio time in s; decisions before them are forgotten."""
        while self._decided and self._decided[0][0] < now - SECONDS:
            self._decided.popleft()
        curves = "".join(self._curve(number, now) for number in range(len(self._labels)))
        line = f'<line x1="0" x2="{WIDTH}" y1="{TOP + HIGH}" y2="{TOP + HIGH}" class="z"/>'
        ends = f'<text x="0" y="{HEIGHT - 4}">{SECONDS:g} s ago</text>'
        ends += f'<text x="{WIDTH}" y="{HEIGHT - 4}" class="n">now</text>'
        return (
            f'<svg class="ser-picture ser-recent" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="probabilities of the last {SECONDS:g} s">{line}{curves}{ends}</svg>'
        )

    def _curve(self, number: int, now: float) -> str:
        """One piece for each stretch without a pause; a decision stands for the interval before it."""
        points: list[str] = []
        before = -float("inf")
        for seconds, probs in self._decided:
            y = TOP + HIGH * (1 - probs[number])
            if seconds - before > 1.5 * self._interval:
                points.append(f"M{_x(seconds - self._interval, now):.1f},{y:.1f}")
            points.append(f"L{_x(seconds, now):.1f},{y:.1f}")
            before = seconds
        name = self._labels[number]
        path = "".join(points)
        return f'<path d="{path}" stroke="{colour(name)}"><title>{escaped(name)}</title></path>' if path else ""


def _x(seconds: float, now: float) -> float:
    return WIDTH * min(max(1 - (now - seconds) / SECONDS, 0.0), 1.0)
