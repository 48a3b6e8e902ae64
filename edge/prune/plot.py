"""Draws the steps of a pruning: development UAR against size and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crnn.errors import require
from crnn.files.atomic import replacing
from edge.preflight import check_writable, needed

if TYPE_CHECKING:
    from edge.prune.step import Step

SUFFIXES = (".svg", ".png", ".pdf")


def check_plot(path: Path) -> None:
    """Raises InputError if no figure can be written there, before hours of training."""
    require(path.suffix in SUFFIXES, f"--plot {path}: give a name that ends in {', '.join(SUFFIXES)}")
    check_writable(path, f"--plot {path}")
    with needed("--plot", "train"):
        import matplotlib  # noqa: F401


def draw(steps: Sequence[Step], path: Path) -> None:
    """Draw the steps, each with its share, into `path`, which is written whole or not at all."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "pruning"  # the same steps give the same file
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, label, values in (
        (axes[0], "whole bundle, kB", [step.bytes / 1e3 for step in steps]),
        (axes[1], "multiply-accumulates per window, millions", [step.macs_per_window / 1e6 for step in steps]),
    ):
        axis.plot(values, [100 * step.uar for step in steps], "o-")
        for x, step in zip(values, steps, strict=True):
            axis.annotate(f"{step.share:.0%}", (x, 100 * step.uar), (0, 6), textcoords="offset points", fontsize=8)
        axis.axhline(100 * steps[0].uar, color="grey", linestyle=":")
        axis.set(xlabel=label, xlim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].set(ylabel="UAR on development speakers, %")
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg" else None)
