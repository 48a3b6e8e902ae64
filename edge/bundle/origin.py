"""What a pair says of the small model in it: `provenance.beside` of its manifest, the one part of a provenance that is
checked. Its corpora decide on which recordings the pair may be judged, and its licence."""

import re
from dataclasses import dataclass, fields
from pathlib import Path

from crnn.config import from_dict
from crnn.errors import InputError, require
from crnn.files.printable import brief

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Teacher:
    """A pretrained speech encoder."""

    family: str
    name: str
    """Of its folder"""
    sha256: str
    """Of its weights, hexadecimal"""
    layers: tuple[int, ...]


@dataclass(frozen=True)
class SmallOrigin:
    """The content of `provenance.beside`."""

    corpora_heard: tuple[str, ...]
    """Every corpus that its weights were trained on"""
    n_params: int
    macs_per_window: int
    identity: str
    """Of the bundle that it is from (`Manifest.identity`)"""
    seed: int | None = None
    """Of weights, order and augmentation"""
    taught_by: tuple[Teacher, ...] = ()


def small_origin(provenance: dict, where: Path) -> SmallOrigin:
    """`provenance.beside`, from the provenance of the manifest `where`. Keys of later versions are not read.

    Raises InputError that names the manifest and the key: missing, of another type, no hash, or a corpus that the
    larger model's `corpora_heard` lacks.
    """
    label = f"{where}: provenance.beside"
    given = provenance.get("beside")
    require(given is not None, f"{label} is missing, which says what the small model was trained on; make it again")
    if isinstance(given, dict):
        given = {item.name: given[item.name] for item in fields(SmallOrigin) if item.name in given}
    made = from_dict(SmallOrigin, given, label)
    for key in ("n_params", "macs_per_window"):
        require(getattr(made, key) > 0, f"{label}.{key} is {getattr(made, key)}; it is above 0 in every bundle")
    hashes = {"identity": made.identity} | {f"taught_by.{n}.sha256": t.sha256 for n, t in enumerate(made.taught_by)}
    for key, value in hashes.items():
        require(
            bool(SHA256.fullmatch(value)), f"{label}.{key} is {brief(value)}; give a SHA-256 of 64 hexadecimal digits"
        )
    trained_on = provenance.get("corpora_heard")
    if not isinstance(trained_on, list) or not made.corpora_heard:
        raise InputError(f"{where}: provenance.corpora_heard and provenance.beside.corpora_heard must list corpora")
    missing = [name for name in made.corpora_heard if name not in trained_on]
    require(
        not missing,
        f"{label}.corpora_heard has {brief(', '.join(missing))}, which provenance.corpora_heard lacks; copy the whole "
        "folder again",
    )
    return made
