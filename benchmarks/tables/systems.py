"""Table of the systems that the CRNN is compared with."""

from benchmarks.harness.results import rows
from benchmarks.tables.markdown import interval, markdown, number, percent, table


@table("systems")
def systems() -> str:
    """Every system that was measured: its cost, and its test speakers' UAR on a fold of a protocol."""
    head = ("system", "protocol", "fold", "seed", "UAR", "95 % interval", "trained", "frozen")
    return markdown(
        (*head, "MACs per second", "s per epoch"),
        (
            (
                *(row["system"], f"`{row['protocol']}`", row["fold"], row["seed"], percent(row["uar"])),
                *(interval(row["uar_ci95"]), f"{row['n_params']:,}", f"{row['frozen_params']:,}"),
                *(f"{row['macs_per_second'] / 1e6:,.0f} M", number(row["seconds_per_epoch"], 1)),
            )
            for row in sorted(
                rows("systems"), key=lambda row: (row["protocol"], row["fold"], row["system"], row["seed"])
            )
        ),
    )
