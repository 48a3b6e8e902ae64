"""Where bundles lie that did not come with the package, and the larger one, which quantize.py --large makes."""

import os
from pathlib import Path

from crnn.errors import InputError
from edge.bundle.manifest import MANIFEST
from edge.bundle.reader import PRETRAINED

SHIPS = PRETRAINED.with_name("large")
"""The larger bundle of this version"""


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
    """That folder if it holds a bundle, or else the one that ships."""
    try:
        own = large_folder()
    except InputError:  # who has no home has made none
        return SHIPS
    return own if (own / MANIFEST).is_file() else SHIPS
