"""What an exported file may differ by from the trained model. No torch."""

import math
from dataclasses import dataclass
from pathlib import Path

from crnn.errors import require


@dataclass(frozen=True)
class ExportLimits:
    """What an exported file may differ by. If a file is past any limit, no bundle is written."""

    max_uar_drop: float = 0.01
    """UAR lost against the trained model, share (0.01 = 1 point)"""
    max_flip_rate: float = 0.05
    """Decisions whose top emotion differs from the float32 model in torch, share"""
    max_abs_diff_float32: float = 1e-3
    """Difference of a probability, any class, any decision, or of the arousal, float32 files"""
    max_abs_diff_float16: float = 1e-2
    """Likewise, float16 files"""
    max_abs_diff_int8: float = 0.2
    """Likewise, dynamic_int8 and static_int8 files"""
    max_ece_rise: float = 0.05
    """Rise of the expected calibration error against the float32 model in torch, share"""

    def max_abs_diff(self, scheme: str) -> float:
        """The limit on probabilities for a scheme.

        >>> ExportLimits().max_abs_diff("static_int8")
        0.2
        """
        return getattr(self, f"max_abs_diff_{scheme.split('_')[-1]}")


class VerificationError(Exception):
    """Exported files are past a limit. `steps` (`edge.prune.step.Step`) and `rows` (`edge.export.verify.Row`) are the
    tables of what was measured."""

    def __init__(self, steps: list, rows: list) -> None:
        failures = (f"{row.file_names}: {reason}" for row in rows for reason in row.comparison.failures)
        super().__init__("; ".join(failures))
        self.steps, self.rows = steps, rows


def check_request(out: Path, coverage: float, temperature: float | None) -> None:
    """What is asked of any bundle: a new folder, a share of decisions, a temperature or None. Raises InputError."""
    require(not out.exists(), f"{out}: exists already; give another --out or remove it")
    require(0 < coverage <= 1, f"--coverage {coverage}: give a share above 0, at most 1")
    sound = temperature is None or 0 < temperature < math.inf
    require(sound, f"--temperature {temperature}: give a number above 0, 1 = the softmax as it is")
