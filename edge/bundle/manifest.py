"""The manifest of a bundle, `bundle.json`, and the files that it lists; both are read strictly."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

from crnn.config import FeatureConfig, StreamGeometry, from_dict
from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.files.strict import file_hash, read_json
from crnn.renamed_keys import with_new_keys
from edge.bundle.golden import GOLDEN
from edge.bundle.origin import small_origin
from edge.stream.decision import UNCERTAIN, DecisionConfig
from edge.stream.pair_recognizer import fills_window
from edge.stream.window_recognizer import recomputes

SCHEMA, AROUSAL_SCHEMA, WINDOW_SCHEMA, PAIR_SCHEMA = 4, 5, 6, 7
"""Of a bundle without and with `arousal`, of one of kind `WINDOW`, and of such a one with `beside`: fields that
schema 4 does not know"""
STREAM, WINDOW = "stream", "window"
"""Kinds: the encoder is given new frames only; or every window is recomputed (`edge.stream.window_recognizer`)"""
MANIFEST = "bundle.json"
SPEAKERS = "speakers.npz"
MOST_LABELS, LONGEST_LABEL = 100, 40
LARGEST_MANIFEST, LARGEST_FILE = 2**20, 64 * 2**20
"""Bytes"""
TOO_LARGE = f"larger than {LARGEST_FILE >> 20} MiB, which no file of a bundle is"
Typed = TypeVar("Typed")
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


@dataclass(frozen=True)
class ModelFiles:
    """The two files of one runtime."""

    scheme: str
    """float32, float16, dynamic_int8 or static_int8"""
    encoder: str
    """File name"""
    head: str
    """File name"""


@dataclass(frozen=True)
class FileFacts:
    """The manifest's entry of a file."""

    sha256: str
    """Hexadecimal"""
    bytes: int
    """Size"""


@dataclass(frozen=True)
class Beside:
    """A small model that answers together with one of kind `WINDOW` (`edge.stream.pair_recognizer`)."""

    features: FeatureConfig
    """How samples become its log-mel frames; the same sample rate"""
    geometry: StreamGeometry
    """How frames become its encoder steps and decisions; its window is no longer than the other one's"""
    models: dict
    """Runtime -> ModelFiles, for every runtime of the bundle"""


@dataclass(frozen=True)
class Manifest:
    """The content of `bundle.json`."""

    schema: int
    """Version of this layout, 4 to 7; other versions are refused"""
    labels: tuple[str, ...]
    """Emotions, in the order of the logits"""
    features: FeatureConfig
    """How samples become log-mel frames"""
    geometry: StreamGeometry
    """How frames become encoder steps and decisions"""
    decision: DecisionConfig
    """How logits become an answer"""
    models: dict
    """Runtime -> ModelFiles"""
    files: dict
    """File name -> FileFacts"""
    provenance: dict = field(default_factory=dict)
    """Origin: corpus, protocol, split hash, seeds, pruning, metrics with intervals"""
    arousal: bool = False
    """Whether the head, in schema 7 that of `beside`, also gives the arousal, 0 to 1; true in schema 5, absent in 4 and
    6"""
    kind: str = STREAM
    """`window` in schemas 6 and 7, whose windows are recomputed; absent in the others"""
    beside: Beside | None = None
    """A small model that answers together with this one; in schema 7 alone"""

    def model_files(self, runtime: str) -> ModelFiles:
        """The files of a runtime. Raises InputError, naming the runtimes of the bundle, if there are none."""
        require(runtime in self.models, f"the bundle has no files for {runtime}; it has {', '.join(self.models)}")
        return from_dict(ModelFiles, self.models[runtime], f"models.{runtime}")

    @property
    def small(self) -> "Manifest":
        """What `beside` says, as the manifest of a bundle of its own. Raises InputError if there is none."""
        if self.beside is None:
            raise InputError("the bundle has no small model beside it")
        given = {item.name: getattr(self.beside, item.name) for item in fields(self.beside)}
        return replace(self, kind=STREAM, beside=None, **given)

    @property
    def identity(self) -> str:
        """SHA-256 over the names and hashes of all files, hexadecimal; a profile belongs to one identity."""
        lines = [f"{name} {facts['sha256']}" for name, facts in sorted(self.files.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle and check the hash of every file.

    Raises InputError that names the file: missing, changed, a link, from another version, or not listed properly;
    OSError if one cannot be read.
    """
    where = folder / MANIFEST
    require(where.is_file(), f"{where}: no such file; {folder} is not a bundle of quantize.py")
    values = read_json(where, LARGEST_MANIFEST, follow=False)
    schema = values.get("schema")
    newer = type(schema) is int and schema > PAIR_SCHEMA
    require(
        type(schema) is int and SCHEMA <= schema <= PAIR_SCHEMA,
        f"{where}: schema {brief(schema)}, this version reads {SCHEMA} to {PAIR_SCHEMA}; "
        + ("update this software" if newer else "make the bundle again"),
    )
    manifest = _typed(with_new_keys(values, str(where)), where)
    require(
        manifest.arousal == (schema == AROUSAL_SCHEMA) or schema == PAIR_SCHEMA,
        f"{where}: schema {schema} with arousal {manifest.arousal}; copy the whole folder again",
    )
    require(
        manifest.kind == (WINDOW if schema in (WINDOW_SCHEMA, PAIR_SCHEMA) else STREAM),
        f"{where}: schema {schema} of kind {brief(manifest.kind)}; copy the whole folder again",
    )
    has = "with" if manifest.beside else "without"
    require(
        bool(manifest.beside) == (schema == PAIR_SCHEMA),
        f"{where}: schema {schema} {has} a model beside it; copy the whole folder again",
    )
    _check_labels(manifest.labels, where)
    _check_files(folder, manifest)
    _check_models(manifest, where)
    if manifest.beside:
        _check_beside(manifest, manifest.beside, where)
    for name in (SPEAKERS, GOLDEN):
        require(name in manifest.files, f"{where}: lists no {name}; make the bundle again")
    return manifest


def _typed(values: dict, where: Path) -> Manifest:
    """The manifest of plain values under their present names. Raises InputError that names the file and the key."""
    beside = values.get("beside")
    small = None if beside is None else _named(Beside, beside, f"{where}: beside", f"{where}: beside.")
    return replace(_named(Manifest, values | {"beside": None}, str(where), f"{where}: "), beside=small)


def _named(cls: type[Typed], values: object, label: str, prefix: str) -> Typed:
    """As `from_dict`; an error of a range, which the dataclass checks itself and so cannot know the file, begins with
    `prefix`."""
    try:
        return from_dict(cls, values, label)
    except InputError as error:
        if label in str(error):
            raise
        raise InputError(f"{prefix}{error}") from error


def _check_beside(manifest: Manifest, beside: Beside, where: Path) -> None:
    _check_models(manifest.small, where, "beside.")
    rate, other = beside.features.sample_rate, manifest.features.sample_rate
    require(
        rate == other, f"{where}: beside.features.sample_rate is {rate}, features.sample_rate {other}; make it again"
    )
    require(
        beside.models.keys() == manifest.models.keys(),
        f"{where}: beside.models has {', '.join(beside.models)}, models {', '.join(manifest.models)}; copy the whole "
        "folder again",
    )
    require(
        fills_window(beside.geometry, manifest.geometry),
        f"{where}: beside.geometry has windows of {beside.geometry.sound_samples} samples, which are never full: "
        f"geometry has {manifest.geometry.window_samples}; take a small model of shorter windows",
    )
    small_origin(manifest.provenance, where)


def _check_models(manifest: Manifest, where: Path, section: str = "") -> None:
    features, g = manifest.features, manifest.geometry
    streams = (features.n_fft, features.hop_length) == (g.n_fft, g.hop_length) and g.lead_samples < g.first_samples
    require(
        recomputes(features, g) if manifest.kind == WINDOW else streams,
        f"{where}: {section}geometry does not fit {section}features, or its first interval is empty; copy the whole "
        "folder again",
    )
    require(
        0 < len(manifest.models) <= 20,
        f"{where}: {section}models has files for {len(manifest.models)} runtimes; 1 to 20 are known",
    )
    for runtime in manifest.models:
        require(
            bool(FILE_NAME.fullmatch(runtime)),
            f"{where}: {section}models: {brief(runtime)} is not the name of a runtime",
        )
        of_it = f"{section}models.{runtime}"
        files = from_dict(ModelFiles, manifest.models[runtime], f"{where}: {of_it}")
        for part, name in (("encoder", files.encoder), ("head", files.head)):
            require(
                name in manifest.files, f"{where}: {of_it}.{part} is {brief(name)}, which is not listed with a hash"
            )


def _check_labels(labels: tuple[str, ...], where: Path) -> None:
    require(2 <= len(labels) <= MOST_LABELS, f"{where}: has {len(labels)} labels; 2 to {MOST_LABELS} are possible")
    require(len(set(labels)) == len(labels), f"{where}: a label occurs twice; make the bundle again")
    for label in labels:
        require(
            0 < len(label) <= LONGEST_LABEL and label.isprintable() and label.strip() == label and label != UNCERTAIN,
            f"{where}: {brief(label)} is not the name of an emotion: 1 to {LONGEST_LABEL} printable characters",
        )


def listed_files(files: Mapping[str, object], where: Path) -> Iterator[tuple[str, FileFacts]]:
    """Name and facts of every file that a manifest lists: file names without a folder, and sizes within the limit.

    Raises InputError that names the manifest, `where`, or the file. Nothing is read: the files need not be there.
    """
    require(len(files) <= 50, f"{where}: lists {len(files)} files; at most 50 belong to a bundle")
    for name, values in files.items():
        require(Path(name).name == name, f"{where}: file name {name!r} leads out of the bundle")
        require(bool(FILE_NAME.fullmatch(name)), f"{where}: {name!r} is not a file name of a bundle")
        facts = from_dict(FileFacts, values, f"{where}: files.{name}")
        require(0 <= facts.bytes <= LARGEST_FILE, f"{where.parent / name}: {TOO_LARGE}")
        yield name, facts


def _check_files(folder: Path, manifest: Manifest) -> None:
    for name, facts in listed_files(manifest.files, folder / MANIFEST):
        path = folder / name
        require(path.is_symlink() or path.is_file(), f"{path}: missing from the bundle; copy the whole folder again")
        require(path.lstat().st_size <= LARGEST_FILE, f"{path}: {TOO_LARGE}")
        require(
            file_hash(path, follow=False) == facts.sha256,
            f"{path}: its hash is not the one in {MANIFEST}; the file was changed or damaged, copy it again",
        )
        require(path.stat().st_size == facts.bytes, f"{path}: its size is not the one in {MANIFEST}; copy it again")


def list_files(folder: Path) -> dict[str, dict]:
    """The manifest's entry for every file in `folder`. Raises InputError for a link."""
    return {
        path.name: {"sha256": file_hash(path, follow=False), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
    }
