"""Table of the systems that the CRNN is compared with."""

from itertools import groupby

from benchmarks.harness.results import rows
from benchmarks.tables.markdown import NOT_MEASURED, markdown, mean, number, percent, table
from crnn.data.protocols import n_folds


@table("systems")
def systems() -> str:
    """A line per system that was measured: its cost, and for each protocol the mean UAR over the folds measured."""
    measured = sorted(rows("systems"), key=lambda row: row["system"])
    protocols = sorted({row["protocol"] for row in measured})
    return markdown(
        ("system", "trained", "frozen", "MACs per second", "s per epoch", *(f"`{name}`" for name in protocols)),
        (_line(system, list(of_one), protocols) for system, of_one in groupby(measured, lambda row: row["system"])),
    )


def _line(system: str, measured: list[dict], protocols: list[str]) -> tuple[str, ...]:
    largest = max(measured, key=lambda row: row["n_params"])  # the classifier grows with the number of emotions
    return (
        system,
        *(f"{largest[name]:,}" for name in ("n_params", "frozen_params")),
        f"{largest['macs_per_second'] / 1e6:,.0f} M",
        number(min(row["seconds_per_epoch"] for row in measured), 1),
        *(_cell([row for row in measured if row["protocol"] == name], n_folds(name)) for name in protocols),
    )


def _cell(measured: list[dict], folds: int) -> str:
    """Mean UAR over folds and seeds; how many folds and seeds that are, unless it is all folds with one seed."""
    if not measured:
        return NOT_MEASURED
    found, seeds = ({row[name] for row in measured} for name in ("fold", "seed"))
    notes = [f"{len(found)} of {folds} folds"] if len(found) < folds else []
    notes += [f"{len(seeds)} seeds"] if len(seeds) > 1 else []
    return percent(mean(row["uar"] for row in measured)) + (f" ({', '.join(notes)})" if notes else "")
