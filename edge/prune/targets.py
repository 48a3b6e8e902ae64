"""The targets of pruning, and the search for the share that meets them."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from crnn.errors import InputError, require
from crnn.files.printable import shown

UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}
MOST = 0.9
"""Largest share that can be pruned"""
TIME_MARGIN = 0.03
"""Share of --target-rtf by which the search stays below it, because a later measurement may differ by so much"""


def parse_size(text: str) -> int:
    """Bytes. Raises InputError for what is not a size above zero.

    >>> parse_size("250kB"), parse_size("0.25 MB"), parse_size("244 KiB"), parse_size("250000")
    (250000, 250000, 249856, 250000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-zA-Z]*)\s*", text)
    unit = UNITS.get(found[2].lower(), 0) if found is not None else 0
    exact = float(found[1]) * unit if found is not None and unit else 0.0
    size = round(exact) if math.isfinite(exact) else 0
    require(size > 0, f"--target-size {shown(text, 80)}: give a size such as 250kB, 0.25MB, 244KiB or 250000 (bytes)")
    return size


@dataclass(frozen=True)
class Trial:
    """What the bundle of a model weighs and costs (`edge.export.cost`)."""

    bytes: int
    """All its files"""
    rtf: float
    """Processor time / audio time of the stream, 1 thread; of the slowest runtime"""

    def __str__(self) -> str:
        return f"{self.bytes:,} bytes, rtf {self.rtf:.4f}"


class OutOfReach(InputError):
    """The targets cannot be met with this model; `steps` (`edge.prune.step.Step`) are those that were tried."""

    def __init__(self, message: str, steps: list) -> None:
        super().__init__(message)
        self.steps = steps


@dataclass(frozen=True)
class PruningTargets:
    """How much to prune, or what pruning must reach; the defaults prune nothing."""

    prune: float | None = None
    """Share of every block's channels and of the LSTM's units to remove; None: the smallest that meets the targets"""
    size: int | None = None
    """Bytes of the whole bundle, at most"""
    rtf: float | None = None
    """Processor time / audio time of the stream, 1 thread, at most"""

    def __post_init__(self) -> None:
        require(self.prune is None or 0 <= self.prune <= MOST, f"--prune {self.prune}: give a share from 0 to {MOST:g}")
        require(self.rtf is None or self.rtf > 0, f"--target-rtf {self.rtf}: give a ratio above 0, for example 0.01")

    @property
    def any(self) -> bool:
        """Whether pruning is asked for."""
        return bool(self.prune or self.given)

    @property
    def given(self) -> str:
        """Size and time as options; empty without any."""
        options = [f"--target-size {self.size:,} bytes"] if self.size is not None else []
        return " and ".join(options + ([f"--target-rtf {self.rtf:g}"] if self.rtf is not None else []))

    def met(self, trial: Trial, margin: float = 0.0) -> bool:
        """Whether a model meets the targets; `margin`: share of the time target by which it must be faster."""
        in_time = self.rtf is None or trial.rtf <= (1 - margin) * self.rtf
        return in_time and (self.size is None or trial.bytes <= self.size)

    def check_size(self, size: int) -> None:
        """Raises InputError if a finished bundle is larger than its target."""
        require(
            self.size is None or size <= self.size,
            f"{self.given} is missed: the finished bundle has {size:,} bytes; give a slightly smaller size",
        )

    def share(self, measure: Callable[[float], Trial]) -> float:
        """The share to prune, in whole percents unless it is given. `measure` prunes a share without training.

        Raises InputError if the targets cannot be met, with the best that can, or contradict `--prune`.
        """
        if not self.given:
            return self.prune or 0.0
        if self.prune is not None:
            tried = measure(self.prune)
            require(
                self.met(tried),
                f"--prune {self.prune:g} contradicts {self.given}: it gives {tried}; leave --prune out, "
                "and the share is found",
            )
            return self.prune
        if self.met(measure(0.0), TIME_MARGIN):
            return 0.0
        low, high = 0, round(100 * MOST)
        best = measure(high / 100)
        if not self.met(best, TIME_MARGIN):
            raise InputError(f"{self.given} cannot be met: the best, with {MOST:.0%} pruned, is {best}")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.met(measure(middle / 100), TIME_MARGIN) else (middle, high)
        return high / 100
