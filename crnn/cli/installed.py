"""Names of programs and extras as this installation has them: a checkout and an installed package differ.

Standard library only, so that a program can read its arguments before it imports anything slow.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

DISTRIBUTION = "crnn-ser"
PROGRAMS = {
    "train": ("python train.py", "ser-train"),
    "quantize": ("python quantize.py", "ser-quantize"),
    "stream_infer": ("python stream_infer.py", "ser-stream"),
    "edge.doctor": ("python -m edge.doctor", "ser-doctor"),
    "edge.enroll": ("python -m edge.enroll", "ser-enroll"),
    "edge.page": ("python -m edge.page", "ser-page"),
    "edge.serve": ("python -m edge.serve", "ser-serve"),
}
"""Module -> what runs it in a checkout, and the installed command"""
ROOT = Path(__file__).resolve().parents[2]


def is_checkout() -> bool:
    """Whether the code runs from a checkout, also one that `pip install -e` made known."""
    return (ROOT / "setup.py").is_file()


def program(module: str) -> str:
    """How to run `module` here: as an installed command if this process was started by one, or if there is no checkout;
    else as a script."""
    in_checkout, command = PROGRAMS[module]
    return command if not is_checkout() or Path(sys.argv[0]).name.startswith("ser-") else in_checkout


def install(extras: str) -> str:
    """The command that adds `extras`, one or several with commas between them, to this installation."""
    return f"pip install -e '.[{extras}]'" if is_checkout() else f"pip install '{DISTRIBUTION}[{extras}]'"


def installed_version() -> str:
    """The version of this installation; "not installed" for a checkout that is merely on PYTHONPATH."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "not installed"


def home_page() -> str | None:
    """The web page that this installation's metadata names (`Homepage` in the `project.urls` of pyproject.toml), or
    None."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        urls = metadata(DISTRIBUTION).get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    named = (url.partition(",") for url in urls)
    return next((page.strip() for label, _, page in named if label.strip().lower() == "homepage"), None)


def find_config(name: str) -> str:
    """The path of a configuration: `name` itself, or what ships under that name (`recipe.yaml`, `configs/recipe.yaml`)
    where there is no such file; unchanged if there is neither."""
    shipped = (ROOT if is_checkout() else Path(__file__).parents[1]) / "configs"
    found = shipped / name.removeprefix("configs/")
    return name if Path(name).exists() or not found.is_file() else str(found)


def renamed(text: str) -> str:
    """`text` with every `python stream_infer.py`, `quantize.py`, `python -m edge.page` ... as `program` has it; paths,
    and names with a colon behind them, are somebody's files and stay."""
    for module, (in_checkout, command) in PROGRAMS.items():
        if program(module) != command:
            continue
        if in_checkout.endswith(".py"):
            text = re.sub(rf"(?<![\w/.-])(?:python )?{module}\.py(?![\w:/-]|\.\w)", command, text)
        else:
            text = text.replace(in_checkout, command)
    return text


class _Absent(list):
    """Stands for an option that is not on the command line; a list, because `append` makes a copy of what it finds."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose help names programs as the person who reads it can type them. What it parses has
    `given`: the names of the options that were on the command line, also with the value that is their default. An empty
    value, which a variable that is not set leaves in a script, is refused unless its name is in `may_be_empty`.

    Args:
        module: of PROGRAMS, or any other that is run with `python -m`.
        description: the module's docstring, shown as it stands.
    """

    def __init__(self, module: str, description: str) -> None:
        prog = program(module) if module in PROGRAMS else f"python -m {module}"
        super().__init__(prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.may_be_empty: set[str] = set()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        absent = {name: _Absent() for name in vars(found)}  # what argparse finds set, it gives no default
        again, _ = super().parse_known_args(args, argparse.Namespace(**absent))
        given = {name for name, value in vars(again).items() if value is not absent.get(name)}
        for name in sorted(given - self.may_be_empty):
            if getattr(found, name) == "":
                self.error(f"{name.replace('_', '-')} is empty; give a value or leave it out")
        found.given = getattr(found, "given", set()) | given  # parse_intermixed_args comes here twice
        return found, rest

    def format_help(self) -> str:
        return renamed(super().format_help())
