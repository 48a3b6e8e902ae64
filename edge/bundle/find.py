"""Which bundle a name means: one that ships, the larger one, a folder, or a model on the Hugging Face hub."""

import re
from pathlib import Path

from crnn.errors import InputError, require
from edge.bundle.hub import fetch
from edge.bundle.large import find_large
from edge.bundle.manifest import MANIFEST
from edge.bundle.reader import PRETRAINED

SMALL, LARGE = "small", "large"
HUB_NAME = re.compile(r"(?P<name>\w[\w.-]{0,95}/\w[\w.-]{0,95})(?:@(?P<revision>[\w./-]{1,200}))?", re.ASCII)


def find_bundle(name: str | Path, revision: str | None = None) -> Path:
    """The folder of the bundle that a name means; nothing in it is checked yet (`Bundle.open` does).

    Args:
        name: "small" or "large", which ship (a large one of one's own comes first, docs/large.md), unless a bundle of
            that name is in the current folder; the path of a folder; or, where there is no such folder, OWNER/NAME or
            OWNER/NAME@REVISION of a model on the Hugging Face hub. Only the last asks the network.
        revision: of a model on the hub: a branch, a tag or, so that the answer never changes, a commit. By default
            that in the name, or else "main".

    Raises InputError, in one line, for a name that means nothing and for what the hub does not have or give.
    """
    text = str(name)
    require(revision is None or (revision != "" and revision.isprintable()), f"revision {revision!r}: no name of one")
    found = None if Path(text).is_dir() else HUB_NAME.fullmatch(text)
    if revision is not None and (found is None or text in (SMALL, LARGE)):
        raise InputError(f"revision {revision}: {text} is not on the hub; leave the revision out")
    if text in (SMALL, LARGE):
        meant = PRETRAINED if text == SMALL else find_large()
        here = Path(text)
        require(
            not (here / MANIFEST).is_file() or here.samefile(meant),
            f"{text}: means {meant}, and a bundle of that name is here as well; give ./{text} for this one, or a path",
        )
        return meant
    if found is None:
        if Path(text).is_dir():
            return Path(text)
        raise InputError(f"{text}: no such folder, and no model: give {SMALL}, {LARGE}, or OWNER/NAME on the hub")
    if revision is not None and found["revision"] is not None:
        raise InputError(f"{text}: names a revision, and {revision} is another; give one of them")
    return fetch(found["name"], revision or found["revision"] or "main")
