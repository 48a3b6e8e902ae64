"""The battery's result: what passed, and the share of the way from a random model to full marks; as text."""

from collections.abc import Sequence

import numpy as np

from edge.battery.rows import Row

HEADER = ("corpus", "test", "value", "threshold", "random", "result")


def summary(rows: Sequence[Row]) -> dict:
    """Counts and shares as plain values; a skipped row counts nowhere. Shares are None if every row was skipped.

    `share_passed` of the bundle; `share_random`: the mean of the random models; `way_from_random`: 0 as good as they
    are, 1 everything passed, below 0 worse (None if they pass everything).
    """
    judged = [row for row in rows if row.passed is not None]
    passed = float(np.mean([row.passed for row in judged])) if judged else None
    random = float(np.mean([row.random for row in judged])) if judged else None
    way = None if passed is None or random is None or random == 1 else (passed - random) / (1 - random)
    return {
        "n_rows": len(judged),
        "n_passed": sum(bool(row.passed) for row in judged),
        "n_skipped": len(rows) - len(judged),
        "share_passed": passed,
        "share_random": random,
        "way_from_random": way,
    }


def as_text(made: dict) -> str:
    """The table and the summary, of what `edge.battery` computes."""
    lines = [f"{made['bundle']}, seed {made['seed']}"]
    lines += [
        f"{name}: {facts['clips']} clips of {facts['speakers']} speakers" for name, facts in made["corpora"].items()
    ]
    if made["training_speakers"]:
        lines.append("WARNING: speakers on whom the bundle was trained may be among them")
    cells = [HEADER, *(_cells(Row(**row)) for row in made["rows"])]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADER) - 1)]
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*padded, row[-1]]).rstrip())
    total = f"{made['n_passed']} of {made['n_rows']} rows passed"
    if made["n_rows"]:
        total += f" ({made['share_passed']:.1%})"
    lines.append(f"{total}, {made['n_skipped']} skipped")
    if made["n_rows"]:
        lines.append(f"random models pass {made['share_random']:.1%} of these rows")
    if made["way_from_random"] is not None:
        lines.append(f"share of the way from a random model to full marks: {made['way_from_random']:.1%}")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    if row.value is None or row.threshold is None:
        return (row.corpus, f"{row.group}: {row.test}", "", "", "", f"skipped: {row.reason}")
    relation = "<=" if row.at_most else ">="
    result = "passed" if row.passed else "failed"
    name = f"{row.group}: {row.test}"
    return (row.corpus, name, f"{row.value:.3f}", f"{relation} {row.threshold:.3f}", f"{row.random:.0%}", result)
