"""What the tables read: rows of result files and manifests of the bundles that ship."""

import json
from pathlib import Path

RESULTS = Path("benchmarks/results")


def rows(name: str, **wanted) -> list[dict]:
    """The rows of a result file whose values are as wanted; none where it has not been measured."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [row for row in found if all(row.get(key) == value for key, value in wanted.items())]


def one(name: str, **wanted) -> dict:
    """The first such row; an empty one where it has not been measured."""
    found = rows(name, **wanted)
    return found[0] if found else {}


def manifest(name: str) -> dict:
    """The manifest of a bundle in edge/pretrained/."""
    return json.loads((Path("edge/pretrained") / name / "bundle.json").read_text(encoding="utf-8"))
