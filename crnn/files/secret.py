"""A password or token in a file of its own. Standard library only."""

import logging
import os
from pathlib import Path

from crnn.errors import InputError, require

log = logging.getLogger(__name__)


def read_secret(path: Path, what: str) -> str:
    """The first line of a file; `what` it is, for messages. Raises InputError, without any of the content.

    Warns where others can read the file.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        others_read = path.stat().st_mode & 0o077
    except OSError as error:
        raise InputError(f"{path}: the {what} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise InputError(f"{path}: the {what} is no UTF-8 text") from None
    require(bool(lines and lines[0]), f"{path}: the first line must hold the {what}")
    if others_read and os.name == "posix":
        log.warning("%s: others can read this %s; chmod 600 it", path, what.split()[-1])
    return lines[0]
