"""Tables of docs/compression.md: schemes under every runtime, and the same answers on every processor."""

from benchmarks.harness.results import rows
from benchmarks.tables.markdown import interval, markdown, number, percent, table


@table("processors")
def processors() -> str:
    """The bundles that ship on emulated processors, against an x86 processor with VNNI."""
    return markdown(
        ("processor", "8-bit products", "bundle", "runtime", "decisions", "changed", "largest difference"),
        (
            (
                *(row["processor"], row["emulates"], row["bundle"], row["runtime"], row["n_decisions"]),
                *(f"{row['flip_rate'] * row['n_decisions']:.0f}", f"{row['max_abs_diff']:.1g}"),
            )
            for row in rows("processors")
        ),
    )


@table("compressed-models")
def compressed_models() -> str:
    """The trained and pruned models whose exports are measured, in torch."""
    first = {(row["bundle"], row["pruning"]): row for row in reversed(rows("compression"))}
    return markdown(
        ("run", "pruned %", "channels", "LSTM units", "parameters", "M MACs", "dev UAR", "test UAR"),
        (
            (
                *(run, f"{100 * share:.0f}", ", ".join(map(str, row.get("channels", ()))), row.get("lstm_units", "")),
                *(f"{row['n_params']:,}", f"{row['macs_per_window'] / 1e6:.1f}"),
                *(percent(row["dev_uar_torch"]), percent(row["uar_torch"])),
            )
            for (run, share), row in sorted(first.items())
        ),
    )


@table("schemes")
def schemes() -> str:
    """Bytes, loss, time and memory of every scheme under every runtime."""
    head = (
        "run",
        "pruned %",
        "runtime",
        "scheme",
        "bytes",
        "dev UAR lost",
        "dev changed %",
        "test UAR",
        "95 % interval",
    )
    return markdown(
        (*head, "lost", "window time", "interval time", "RSS MB"),
        (
            (
                *(row["bundle"].split("-")[0], f"{100 * row['pruning']:.0f}", row["runtime"], row["scheme"]),
                *(f"{row['bytes']:,}", percent(row["dev_uar_drop"], sign=True), f"{100 * row['flip_rate']:.2f}"),
                *(percent(row["uar"]), interval(row["uar_ci95"]), percent(row["uar_drop"], sign=True)),
                *(number(row["ms_ratio"], 2), number(row["interval_ratio"], 2), number(row["rss_mb"], 0)),
            )
            for row in sorted(rows("compression"), key=lambda row: (row["bundle"], row["pruning"]))
        ),
    )
