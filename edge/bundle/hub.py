"""Fetches a bundle from the Hugging Face hub (extra hub): the files that its manifest lists, and no others.

A revision becomes a commit first. What is fetched stays under $XDG_DATA_HOME/ser/hub/OWNER/NAME/COMMIT, which is
complete or not there, and is what later calls open; a commit that is there needs no network. Where the hub cannot be
reached, the commit that the revision meant last is used, and a warning says so.
"""

import errno
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from crnn.errors import InputError, require
from crnn.files.atomic import new_folder, write_text
from crnn.files.strict import read_json
from edge.bundle.large import data_folder
from edge.bundle.manifest import LARGEST_MANIFEST, MANIFEST, listed_files, read_manifest
from edge.preflight import needed

log = logging.getLogger(__name__)

COMMIT = re.compile(r"[0-9a-f]{40}")
LOCK = ".fetch.lock"
"""In the folder of all models of the hub, no owner of which has a name that begins with a point"""
DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})
"""Errors that are never the network's"""
SECONDS = 10.0
"""s of waiting for an answer of the hub"""


def fetch(name: str, revision: str) -> Path:
    """The folder of the bundle `name` (OWNER/NAME) at `revision`, fetched if it is not there yet.

    The hashes are checked before the folder gets its name, and again by whoever opens it. Raises InputError in one
    line: the hub cannot be reached and nothing was fetched before, no such model or revision, no bundle, or files that
    are not those of the manifest; or the folder cannot be written.
    """
    known = data_folder() / "hub" / name
    if COMMIT.fullmatch(revision) and (known / revision).is_dir():
        return known / revision
    with needed(name, "hub"):
        import huggingface_hub  # noqa: F401
        from filelock import FileLock  # which huggingface_hub brings
    try:
        known.parent.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(known.parent.parent / LOCK):  # two programs that start together fetch once
            commit = _commit(name, revision, known)
            folder = known / commit
            if not folder.is_dir():
                _fetch_files(name, commit, folder)
                log.info("%s: fetched commit %s into %s", name, commit, folder)
    except OSError as error:
        raise InputError(f"{error.filename or known}: {error.strerror}; models of the hub are stored there") from error
    return folder


def _commit(name: str, revision: str, known: Path) -> str:
    """The commit that `revision` means now, or meant last where the hub cannot be reached."""
    last = known / f".{quote(revision, safe='')}"
    require(len(last.name) <= 200, f"{name}: no file can be named after revision {revision}; give its commit")
    try:
        found = _head(name, revision, MANIFEST)
    except _Unreachable as error:
        require(last.is_file(), f"{error}; give the folder of a bundle, or connect once to fetch it")
        commit = last.read_text(encoding="ascii").strip()
        require(
            bool(COMMIT.fullmatch(commit)) and (known / commit).is_dir(), f"{error}; {last} names no bundle: remove it"
        )
        log.warning("%s; using commit %s, fetched before", error, commit)
        return commit
    commit, size = found
    require(size <= LARGEST_MANIFEST, f"{name}: {MANIFEST} has {size} bytes, which no bundle's has; nothing is fetched")
    known.mkdir(parents=True, exist_ok=True)
    write_text(last, commit + "\n")
    return commit


def _fetch_files(name: str, commit: str, folder: Path) -> None:
    """Make `folder` from the files of one commit, whole or not at all."""
    from huggingface_hub import hf_hub_download

    named = f"{name} at {commit[:12]}"

    def get(file: str) -> None:
        with _explained(name, commit, file):
            hf_hub_download(name, file, revision=commit, local_dir=part, etag_timeout=SECONDS)

    with new_folder(folder) as part:
        try:
            get(MANIFEST)
            files = read_json(part / MANIFEST, LARGEST_MANIFEST, follow=False).get("files")
            if not isinstance(files, dict):
                raise InputError(f"{part / MANIFEST}: lists no files")
            for file, facts in dict(listed_files(files, part / MANIFEST)).items():
                _, size = _head(name, commit, file)
                require(
                    size == facts.bytes,
                    f"{part / file}: {size} bytes on the hub, {facts.bytes} in {MANIFEST}; nothing is fetched",
                )
                get(file)
            shutil.rmtree(part / ".cache", ignore_errors=True)  # notes of huggingface_hub on this download
            read_manifest(part)
        except InputError as error:
            raise InputError(str(error).replace(str(part), named)) from error


def _head(name: str, revision: str, file: str) -> tuple[str, int]:
    """The commit that `revision` means, and the bytes of a file in it; asks the hub for its headers alone."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    with _explained(name, revision, file):
        found = get_hf_file_metadata(hf_hub_url(name, file, revision=revision), timeout=SECONDS)
    if not found.commit_hash or not COMMIT.fullmatch(found.commit_hash) or found.size is None:
        raise _Unreachable(f"{name}: the answer is not that of a hub (a proxy or login page?)")
    return found.commit_hash, found.size


class _Unreachable(InputError):
    """The hub gave no answer, or not its own."""


@contextmanager
def _explained(name: str, revision: str, file: str) -> Iterator[None]:
    """Around requests: their errors as one line."""
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise InputError(f"{name}: its owner gives access on request: {constants.ENDPOINT}/{name}") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{name}: neither a folder here nor a model on {constants.ENDPOINT} (a private one needs: hf auth login)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{name}: has no revision {revision}") from error
    except errors.EntryNotFoundError as error:
        if isinstance(error, errors.LocalEntryNotFoundError):  # asking the hub failed
            raise _Unreachable(f"{name}: {constants.ENDPOINT} cannot be reached") from error
        what = "so it is no bundle of quantize.py" if file == MANIFEST else f"which its {MANIFEST} lists"
        raise InputError(f"{name}: has no {file}, {what}") from error
    except errors.HFValidationError as error:
        raise InputError(f"{name}: not the name of a model on the hub") from error
    except (OSError, errors.HTTPError) as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        raise _Unreachable(f"{name}: {constants.ENDPOINT} cannot be reached") from error
