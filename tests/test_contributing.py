"""CONTRIBUTING.md has a line for each Python file of the packages, in the order in which the rooms may import."""

import re

from helpers import ROOT
from test_imports import CRNN, DEVICE, WORKSTATION

PACKAGES = ("crnn", "augment", "edge")


def tree() -> dict[str, list[str]]:
    """Folder -> the names listed below it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed: dict[str, list[str]] = {}
    for line in re.search(r"```text\n(.*?)```", text, re.DOTALL)[1].splitlines():
        if line.endswith("/"):
            names = listed.setdefault(line.removesuffix("/"), [])
        else:
            name, _, meaning = line.strip().partition(" ")
            assert meaning.strip(), f"{line}: says nothing"
            names.append(name)
    return listed


def test_the_tree_lists_every_file_and_no_other():
    listed = {f"{folder}/{name}" for folder, names in tree().items() for name in names}
    there = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert listed == there


def test_the_rooms_stand_in_the_order_of_their_imports():
    folders = list(tree())
    assert [folder for folder in folders if folder.startswith("edge/")] == [f"edge/{r}" for r in DEVICE + WORKSTATION]
    assert [folder for folder in folders if folder.startswith("crnn/")] == [f"crnn/{r}" for r in CRNN]
