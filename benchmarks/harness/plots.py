"""Figures from result files: calibration, UAR of every speaker, robustness.

    python -m benchmarks.harness.plots

docs/images/coverage.svg from confidence.json, speakers.svg from accuracy_pooled.json, robustness.svg from
robustness.json.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure  # without pyplot: no display, no global state

from benchmarks.harness.recipes import TUNED
from benchmarks.harness.results import rows
from crnn.cli.command import command

IMAGES = Path("docs/images")
MODEL = f"crnn {TUNED}"


@command
def main(argv: list[str] | None = None) -> int:
    argparse.ArgumentParser(description=__doc__.split("\n\n")[0]).parse_args(argv)
    for name, draw in (("coverage", coverage), ("speakers", speakers), ("robustness", robustness)):
        figure = draw()
        IMAGES.mkdir(parents=True, exist_ok=True)
        with rc_context({"svg.hashsalt": name}):  # the same figures give the same file
            figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
    return 0


def coverage() -> Figure:
    """Share of the stream's decisions that are made, the most confident first, against the share of right ones among
    them; the mean of the seeds of each protocol."""
    curves = defaultdict(list)
    for row in rows("confidence", model=MODEL):
        curves[row["protocol"]].append(row["curve"])
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    for protocol, of_seeds in sorted(curves.items()):
        decided, right = np.mean(of_seeds, axis=0).T
        axes.plot(100 * decided, 100 * right, "o-", label=protocol)
    axes.set(xlabel="decided, %", ylabel="right of decided, %", xlim=(0, 102), ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    return figure


def speakers() -> Figure:
    """UAR of every test speaker, sorted, by protocol."""
    found = [row for row in rows("accuracy_pooled", model=MODEL, scheme="float32", mode="whole")]
    figure = Figure(figsize=(9, 2.2 * len(found)), layout="constrained")
    for axes, row in zip(figure.subplots(len(found)), found, strict=True):
        each = sorted(row["per_speaker_uar"].items(), key=lambda item: item[1])
        axes.bar([speaker for speaker, _ in each], [100 * value for _, value in each], color="tab:blue")
        axes.axhline(100 * row["uar_mean"], color="black", linewidth=0.8)
        axes.tick_params(axis="x", labelsize=7, rotation=90 if len(each) > 12 else 0)
        axes.set(title=row["protocol"], ylabel="UAR, %", ylim=(0, 100))
    return figure


def robustness() -> Figure:
    """UAR of every model under every condition, with intervals over speakers."""
    by_model = defaultdict(dict)
    for row in rows("robustness", protocol="ravdess-luna5"):
        by_model[row["model"]][f"{row['condition']} {row['level']}".strip()] = row
    conditions = list(by_model[MODEL])
    figure = Figure(figsize=(8, 0.36 * len(conditions) + 1), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(by_model)
    for number, (model, measured) in enumerate(by_model.items()):
        places = [place + number * height for place, name in enumerate(conditions) if name in measured]
        shown = [measured[name] for name in conditions if name in measured]
        errors = np.abs(np.array([row["uar_ci95"] for row in shown]).T - [row["uar"] for row in shown]) * 100
        uars = [100 * row["uar"] for row in shown]
        axes.barh(places, uars, height, xerr=errors, ecolor="grey", label=model, align="edge")
    axes.set_yticks([place + 0.4 for place in range(len(conditions))], conditions)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="UAR, %, and its 95 % interval over speakers")
    axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    sys.exit(main())
