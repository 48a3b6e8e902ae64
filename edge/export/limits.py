"""What an exported file may differ by from the trained model. No torch."""

from dataclasses import dataclass


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
