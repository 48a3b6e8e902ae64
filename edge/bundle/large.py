"""Where the larger bundle lies, which does not ship: quantize.py --large writes it there."""

import os
from pathlib import Path

from crnn.cli.installed import program
from crnn.errors import InputError, require
from edge.bundle.manifest import MANIFEST


def large_folder() -> Path:
    """$XDG_DATA_HOME/ser/large, usually ~/.local/share/ser/large.

    Raises InputError where nobody knows a home folder (a container with an unknown user id and no $HOME).
    """
    given = os.environ.get("XDG_DATA_HOME")
    try:
        return Path(given or Path.home() / ".local" / "share") / "ser" / "large"
    except RuntimeError as error:
        raise InputError("no home folder for the larger model; name the bundle's folder, or set HOME") from error


def find_large() -> Path:
    """That folder. Raises InputError, saying which command makes it, if it holds no bundle."""
    folder = large_folder()
    require(
        (folder / MANIFEST).is_file(),
        f"{folder}: the larger model does not ship; make it on a workstation, {program('quantize')} --large ENCODER "
        "(docs/large.md), and copy it there",
    )
    return folder
