"""What quantize.py prints: the pruning steps, and the exported files beside the trained model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # quantize.py imports this file before torch
    from edge.export.verify import Row
    from edge.prune.step import Step


def file_table(rows: "Sequence[Row]") -> str:
    """A line for each exported pair of files."""
    head = ("files", "runtime", "scheme", "bytes", "max diff", "flips", "UAR", "drop", "ms/window", "rtf", "")
    body = [
        (
            row.file_names,
            row.runtime,
            row.files.scheme,
            f"{row.bytes:,}",
            f"{row.comparison.max_abs_diff:.1e}",
            f"{row.comparison.flip_rate:.2%}",
            f"{row.comparison.uar:.1%}",
            f"{row.comparison.uar_drop:+.1%}",
            f"{row.comparison.ms_per_window:.2f}",
            f"{row.comparison.rtf:.4f}",
            "ships" if row.ships else "past a limit" if row.comparison.failures else "",
        )
        for row in rows
    ]
    return _aligned(head, body)


def step_table(steps: "Sequence[Step]") -> str:
    """The pruning steps, the trained model first; empty without any."""
    if not steps:
        return ""
    head = ("pruned", "channels", "LSTM", "parameters", "MACs/window", "bytes", "rtf", "dev UAR", "lost")
    body = [
        (
            f"{step.share:.0%}",
            "-".join(map(str, step.channels)),
            str(step.lstm_units),
            f"{step.n_params:,}",
            f"{step.macs_per_window:,}",
            f"{step.bytes:,}",
            f"{step.rtf:.4f}",
            f"{step.uar:.1%}",
            f"{steps[0].uar - step.uar:+.1%}",
        )
        for step in steps
    ]
    return _aligned(head, body)


def _aligned(head: tuple[str, ...], body: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in [head, *body])
    return "\n".join(line.rstrip() for line in lines)
