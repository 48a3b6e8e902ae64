"""Pages made from result files, so that no figure is typed by hand.

    python -m benchmarks.tables

Fills docs/templates/*.md with the rows of benchmarks/results/*.json: README.md, docs/accuracy.md, docs/compression.md,
docs/corrections.md, docs/enrolment.md, docs/experiments.md, docs/performance.md and edge/pretrained/MODEL_CARD.md; and
docs/bundle.md with the docstrings of a bundle's dataclasses. A figure that has not been measured stands as "not
measured".
"""

import dataclasses
import json
import pydoc
import typing
from pathlib import Path

import docstring_parser
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.experiments import SCREEN, TUNE
from benchmarks.recipes import SHIPS, TUNED
from crnn.files.atomic import write_text
from edge.bundle import golden

RESULTS = Path("benchmarks/results")
PAGES = {
    "accuracy.md": Path("docs/accuracy.md"),
    "compression.md": Path("docs/compression.md"),
    "experiments.md": Path("docs/experiments.md"),
    "performance.md": Path("docs/performance.md"),
    "bundle.md": Path("docs/bundle.md"),
    "enrolment.md": Path("docs/enrolment.md"),
    "corrections.md": Path("docs/corrections.md"),
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


def leave_one_out(model: str) -> float | None:
    """Mean over the corpora left out of the mean over seeds."""
    found = rows("cross_corpus_pooled", protocol="cross-leave-one-out", model=model)
    return mean([row["uar_mean"] for row in found])


def gains_over_baseline(model: str) -> list[float]:
    """Points of UAR above the classical baseline, for every direction across corpora that both were measured in."""
    ours = {(row["train"], row["test"]): row["uar_mean"] for row in rows("cross_corpus_pooled", model=model)}
    return [
        ours[row["train"], row["test"]] - row["uar"]
        for row in rows("cross_corpus", seed=None)
        if (row["train"], row["test"]) in ours
    ]


def goal(value: float) -> str:
    return f"{100 * value:g}"


def command(name: str) -> str:
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return "not measured"
    facts = json.loads(path.read_text(encoding="utf-8"))
    return f"`{facts['command']}` at {facts['commit']}, {facts['machine']}, {facts['date']}"


def short(settings: str) -> str:
    """Settings of an experiment, the schedules that many share by their names."""
    for name, parts in (("[screening]", SCREEN), ("[tuning]", TUNE)):
        settings = settings.replace(" ".join(parts), name)
    return settings


def manifest(name: str) -> dict:
    path = Path("edge/pretrained") / name / "bundle.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def fields(name: str) -> list[dict]:
    """Name, type and description of every field of a dataclass, given as `package.module.Class`."""
    kinds = {int: "integer", float: "number", str: "text", tuple[str, ...]: "list of texts"}
    cls = pydoc.locate(name)
    told = {item.args[1]: item.description for item in docstring_parser.parse_from_object(cls).meta}
    hints = typing.get_type_hints(cls)
    return [
        {"name": f.name, "kind": kinds.get(hints[f.name], "named values"), "text": " ".join(told[f.name].split())}
        for f in dataclasses.fields(cls)
    ]


def main() -> None:
    pages = Environment(
        loader=FileSystemLoader("docs/templates"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    helpers = (
        *(rows, one, percent, interval, mean, command, manifest, short, fields),
        *(leave_one_out, gains_over_baseline),
    )
    pages.filters.update(goal=goal, leave_one_out=leave_one_out)
    models = {"ships": f"crnn {SHIPS}", "tuned": f"crnn {TUNED}"}
    pages.globals.update({helper.__name__: helper for helper in helpers}, golden=golden, **models)
    for template, out in PAGES.items():
        write_text(out, pages.get_template(template).render())


if __name__ == "__main__":
    main()
