"""Result files: written by the benchmarks, never by hand; one row added or replaced at a time."""

import json
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

from crnn.files.atomic import write_text
from edge.doctor.machine import read_machine


def add_row(path: Path, row: dict, key: tuple[str, ...]) -> None:
    """Put `row` into the file, in place of an earlier one with the same values of `key`; it is given the command,
    commit, machine, int8 path and date of its measurement."""
    made = {
        "command": " ".join(["python", "-m", *module_and_arguments()]),
        "commit": commit(),
        "machine": machine(),
        "int8_path": read_machine().int8_path,
        "date": date.today().isoformat(),
    }
    row = made | row
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    same = [number for number, old in enumerate(rows) if all(old.get(k) == row.get(k) for k in key)]
    if same:
        rows[same[0]] = row  # where it stood: what is measured again is no new line
    else:
        rows.append(row)
    write_text(path, json.dumps(made | {"rows": rows}, indent=1) + "\n")


def module_and_arguments() -> list[str]:
    return [f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]


def commit() -> str:
    """Short hash of HEAD, with + where the working tree differs from it."""
    git = ["git", "-C", str(Path(__file__).resolve().parents[1])]
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
