"""Where bundles lie that did not come with the package; the larger one among them, which quantize.py --large writes."""

import os
from pathlib import Path

from crnn.cli.installed import program
from crnn.errors import InputError, require
from edge.bundle.manifest import MANIFEST


def data_folder() -> Path:
    """$XDG_DATA_HOME/ser, usually ~/.local/share/ser: bundles that did not come with the package.

    Raises InputError where nobody knows a home folder (a container with an unknown user id and no $HOME).
    """
    given = os.environ.get("XDG_DATA_HOME")
    try:
        return Path(given or Path.home() / ".local" / "share") / "ser"
    except RuntimeError as error:
        raise InputError("no home folder for models; name the bundle's folder, or set HOME") from error


def large_folder() -> Path:
    """The folder `large` below `data_folder`."""
    return data_folder() / "large"


def find_large() -> Path:
    """That folder. Raises InputError, saying which command makes it, if it holds no bundle."""
    folder = large_folder()
    require(
        (folder / MANIFEST).is_file(),
        f"{folder}: the larger model does not ship; make it on a workstation, {program('quantize')} --large ENCODER "
        "(docs/large.md), and copy it there",
    )
    return folder
