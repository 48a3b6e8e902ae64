"""Tables as Markdown, and the format of their cells."""

from collections.abc import Callable, Iterable
from typing import Any

NOT_MEASURED = "not measured"
TABLES: dict[str, Callable[..., str]] = {}
"""Name in a marker -> the function that makes the table; words after the name are its arguments"""


def table(name: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Register the function that makes a table."""

    def register(make: Callable[..., str]) -> Callable[..., str]:
        TABLES[name] = make
        return make

    return register


def markdown(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table; without rows one line says that nothing was measured."""
    head = list(head)
    body = [list(row) for row in rows] or [[NOT_MEASURED, *[""] * (len(head) - 1)]]
    return "\n".join(_line(row) for row in (head, ["---"] * len(head), *body))


def _line(cells: Iterable[Any]) -> str:
    return f"| {' | '.join(NOT_MEASURED if cell is None else str(cell) for cell in cells)} |"


def percent(value: float | None, sign: bool = False) -> str:
    """A share of 1 as a percentage with one decimal."""
    if value is None:
        return NOT_MEASURED
    return f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"


def interval(values: list[float] | None) -> str:
    """Both ends of an interval of shares, as percentages."""
    return f"{100 * values[0]:.1f} to {100 * values[1]:.1f}" if values else NOT_MEASURED


def number(value: float | None, digits: int) -> str:
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def ratio(value: float | None, base: float | None) -> str:
    return f"{value / base:.2f}" if value and base else NOT_MEASURED


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are not None; None if there are none."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None
