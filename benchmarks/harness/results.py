"""Result files, `benchmarks/results/NAME.json`: `{"rows": [...]}`, written by the benchmarks, never by hand.

Every row states the command, commit, machine and date of its measurement. In older rows these are null if unknown;
`recorded` then states the commit and the day that added the row to the repository, and the command and machine that the
whole file stated at that commit (those of the row written last).
"""

import json
import platform
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path

from crnn.files.atomic import write_text
from edge.doctor.machine import read_machine

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path("benchmarks/results")


def rows(name: str, **wanted) -> list[dict]:
    """The rows of a result file with these values; none if nothing has been measured."""
    return rows_of(RESULTS / f"{name}.json", **wanted)


def rows_of(path: Path, **wanted) -> list[dict]:
    if not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [row for row in found if all(row.get(key) == value for key, value in wanted.items())]


def one(name: str, **wanted) -> dict:
    """The first such row; an empty one if nothing has been measured."""
    found = rows(name, **wanted)
    return found[0] if found else {}


def manifest(name: str) -> dict:
    """The manifest of a bundle that ships: `float32` or `int8`."""
    return json.loads((Path("edge/pretrained") / name / "bundle.json").read_text(encoding="utf-8"))


def add_row(path: Path, row: dict, key: tuple[str, ...]) -> None:
    """Add `row`, with the facts of its measurement, to the file, in place of an earlier one with the same `key`."""
    row = measured() | row
    found = rows_of(path)
    same = [number for number, old in enumerate(found) if all(old.get(k) == row.get(k) for k in key)]
    if same:
        found[same[0]] = row  # in its place, so that a new measurement moves no line
    else:
        found.append(row)
    write_text(path, json.dumps({"rows": found}, indent=1) + "\n")


def measured() -> dict:
    """The facts of a measurement made now by this process."""
    return {
        "command": shlex.join(["python", "-m", module(Path(sys.argv[0])), *map(portable, sys.argv[1:])]),
        "commit": commit(),
        "machine": machine(),
        "int8_path": read_machine().int8_path,
        "date": date.today().isoformat(),
    }


def portable(argument: str) -> str:
    """An absolute path by its name: where it lies on this machine says nothing on another."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def module(script: Path) -> str:
    """The name by which `python -m` runs a script of this repository."""
    parts = script.resolve().relative_to(ROOT).with_suffix("").parts if script.resolve().is_relative_to(ROOT) else ()
    return ".".join(part for part in parts if part != "__main__") or script.stem


def commit() -> str:
    """Short hash of HEAD, with + if the working tree differs from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    outside_results = ["--", ".", ":!benchmarks/results"]
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", *outside_results], check=False).returncode
    return head.strip() + ("+" if changed else "")


def machine() -> str:
    model = [line.split(":")[1].strip() for line in cpu_info() if line.startswith("model name")]
    return f"{model[0] if model else platform.processor()}, {len(model)} cores, Python {platform.python_version()}"


def cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
