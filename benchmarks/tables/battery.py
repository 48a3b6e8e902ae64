"""Tables of docs/battery.md: what the shipped bundles pass."""

from benchmarks.harness.results import rows
from benchmarks.tables.markdown import markdown, number, percent, table


@table("battery")
def battery() -> str:
    """One line per bundle and set of corpora."""
    return markdown(
        ("bundle", "corpora", "clips", "tests", "passed %", "random %", "of the way %"),
        (
            (
                *(row["bundle"], row["corpora"], row["n_clips"], row["n_rows"], percent(row["share_passed"])),
                *(percent(row["share_random"]), percent(row["way_from_random"])),
            )
            for row in rows("battery", group="all")
        ),
    )


@table("battery-failed")
def battery_failed(bundle: str) -> str:
    """Every test that a bundle fails."""
    return markdown(
        ("corpus", "group", "test", "value", "threshold"),
        (
            (
                *(row["corpus"], row["group"], row["test"], number(row["value"], 3)),
                f"{'at most' if row['at_most'] else 'at least'} {number(row['threshold'], 3)}",
            )
            for row in rows("battery", bundle=bundle, passed=False)
        ),
    )
