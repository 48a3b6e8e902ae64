"""Pages made from result files, so that no figure is typed by hand.

    python -m benchmarks.tables

Fills docs/templates/*.md with the rows of benchmarks/results/*.json: README.md, docs/accuracy.md, docs/compression.md,
docs/experiments.md and edge/pretrained/MODEL_CARD.md. A figure that has not been measured stands as "not measured".
"""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from crnn.run import write_text

RESULTS = Path("benchmarks/results")
PAGES = {
    "accuracy.md": Path("docs/accuracy.md"),
    "compression.md": Path("docs/compression.md"),
    "experiments.md": Path("docs/experiments.md"),
    "README.md": Path("README.md"),
    "MODEL_CARD.md": Path("edge/pretrained/MODEL_CARD.md"),
}


def rows(name: str, **wanted) -> list[dict]:
    """The rows of a result file whose values are as wanted; none where it has not been measured."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [row for row in found if all(row.get(key) == value for key, value in wanted.items())]


def one(name: str, **wanted) -> dict:
    found = rows(name, **wanted)
    return found[0] if found else {}


def percent(value: float | None, sign: bool = False) -> str:
    if value is None or value == "":
        return "not measured"
    return f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"


def interval(values: list[float] | None) -> str:
    return f"{100 * values[0]:.1f} to {100 * values[1]:.1f}" if values else "not measured"


def mean(values: list[float]) -> float | None:
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None


def command(name: str) -> str:
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return "not measured"
    facts = json.loads(path.read_text(encoding="utf-8"))
    return f"`{facts['command']}` at {facts['commit']}, {facts['machine']}, {facts['date']}"


def manifest(name: str) -> dict:
    path = Path("edge/pretrained") / name / "bundle.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def main() -> None:
    pages = Environment(
        loader=FileSystemLoader("docs/templates"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    helpers = (rows, one, percent, interval, mean, command, manifest)
    pages.globals.update({helper.__name__: helper for helper in helpers})
    for template, out in PAGES.items():
        write_text(out, pages.get_template(template).render())


if __name__ == "__main__":
    main()
