"""A bundle is all a device needs: a folder with `bundle.json`, the model files, `speakers.npz` and `golden.npz`.

Loading checks every hash and replays a short golden waveform through features, encoder and head; what differs is
named, and nothing is run. Nothing in a bundle is ever unpickled.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from crnn.config import FeatureConfig, InputError, StreamGeometry, from_dict, require
from edge import golden, runtimes
from edge.decision import DecisionConfig
from edge.golden import GOLDEN
from edge.profile import Speakers, load_profile, load_speakers
from edge.streaming import StreamingRecognizer

SCHEMA = 4
MANIFEST = "bundle.json"
SPEAKERS = "speakers.npz"
PRETRAINED = Path(__file__).parent / "pretrained" / "int8"
"""The bundle that ships with the project; its model card stands beside it"""


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
    """What the manifest knows of a file."""

    sha256: str
    """Hexadecimal"""
    bytes: int
    """Size"""


@dataclass(frozen=True)
class Manifest:
    """The content of `bundle.json`."""

    schema: int
    """Version of this layout; another one is refused by name"""
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
    """Where it comes from: corpus, protocol, split hash, seeds, pruning, metrics with their intervals"""

    def model_files(self, runtime: str) -> ModelFiles:
        """Raises InputError, naming those there are, if the bundle has no files for this runtime."""
        require(runtime in self.models, f"the bundle has no files for {runtime}; it has {', '.join(self.models)}")
        return from_dict(ModelFiles, self.models[runtime], f"models.{runtime}")

    @property
    def identity(self) -> str:
        """SHA-256 over the names and hashes of all files, hexadecimal: a profile is bound to it."""
        lines = [f"{name} {facts['sha256']}" for name, facts in sorted(self.files.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose manifest and hashes are checked."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> "Bundle":
        """Read the manifest and check every file's hash.

        Raises InputError that names the file: missing, changed, from a newer version, or not listed properly.
        """
        try:
            return cls._checked(Path(path))
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error

    @classmethod
    def _checked(cls, path: Path) -> "Bundle":
        where = path / MANIFEST
        require(where.is_file(), f"{where}: no such file; {path} is not a bundle of quantize.py")
        try:
            values = json.loads(where.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:  # not JSON, or a trap
            raise InputError(f"{where}: not valid JSON ({error})") from error
        require(isinstance(values, dict), f"{where}: must hold named values")
        schema = values.get("schema")
        require(
            schema == SCHEMA,
            f"{where}: schema {schema}, this version reads {SCHEMA}; "
            + ("update this software" if isinstance(schema, int) and schema > SCHEMA else "make the bundle again"),
        )
        manifest = from_dict(Manifest, values, str(where))
        features, g = manifest.features, manifest.geometry
        require(
            (features.n_fft, features.hop_length) == (g.n_fft, g.hop_length) and g.lead_samples < g.first_samples,
            f"{where}: its geometry does not fit its features, or hears nothing at first; copy the whole folder again",
        )
        for name, facts in manifest.files.items():
            require(Path(name).name == name, f"{where}: file name {name!r} leads out of the bundle")
            require((path / name).is_file(), f"{path / name}: missing from the bundle; copy the whole folder again")
            require(
                file_hash(path / name) == from_dict(FileFacts, facts, f"files.{name}").sha256,
                f"{path / name}: its hash is not the one in {MANIFEST}; the file was changed or damaged, copy it again",
            )
        for runtime in manifest.models:
            files = manifest.model_files(runtime)
            for name in (files.encoder, files.head):
                require(name in manifest.files, f"{where}: {name} is used for {runtime} but not listed with a hash")
        require(SPEAKERS in manifest.files, f"{where}: lists no {SPEAKERS}; make the bundle again")
        return cls(path, manifest)

    def default_runtime(self) -> str:
        """The first runtime of the bundle that is installed here."""
        found = [name for name in self.manifest.models if runtimes.installed(name)]
        require(bool(found), f"{self.path}: none of its runtimes is installed here ({', '.join(self.manifest.models)})")
        return found[0]

    def speakers(self, recognizer: StreamingRecognizer) -> Speakers:
        """How the training speakers differ: what enrolment needs. `recognizer` is one of this bundle."""
        return load_speakers(self.path / SPEAKERS, recognizer.pooled_width, len(recognizer.labels))

    def recognizer(
        self, runtime: str | None = None, threads: int = 1, profile: Path | None = None
    ) -> StreamingRecognizer:
        """Load the models, replay the golden waveform, and return a recognizer ready to hear the person whose
        `profile` file it is, or anyone.

        Raises InputError that names what differs from the golden values, or what is wrong with the profile.
        """
        name = runtime or self.default_runtime()
        recognizer = build_recognizer(self.path, self.manifest, name, threads)
        require(GOLDEN in self.manifest.files, f"{self.path / MANIFEST}: lists no {GOLDEN}; make the bundle again")
        golden.check(recognizer, name, self.path)
        if profile is not None:
            recognizer.profile = load_profile(
                profile, self.manifest.identity, recognizer.labels, recognizer.pooled_width
            )
        return recognizer


def build_recognizer(folder: Path, manifest: Manifest, runtime: str, threads: int) -> StreamingRecognizer:
    """A recognizer over the files of one runtime, their shapes checked against the geometry, nothing replayed."""
    files = manifest.model_files(runtime)
    require(files.scheme in runtimes.SCHEMES, f"{folder / MANIFEST}: unknown scheme {files.scheme}")
    g = manifest.geometry
    encoder = runtimes.load(runtime, folder / files.encoder, threads)
    head = runtimes.load(runtime, folder / files.head, threads)
    width = encoder.contract.output_shape[-1]
    pooled = max(1, head.contract.output_shape[-1] - len(manifest.labels))
    for model, file, given, made in (
        (encoder, files.encoder, (1, manifest.features.n_mels, g.block_frames), (1, g.hop_steps, width)),
        (head, files.head, (1, g.window_steps, width), (1, len(manifest.labels) + pooled)),
    ):
        contract = model.contract
        require(
            (contract.input_shape, contract.output_shape) == (given, made),
            f"{folder / file}: {contract}; the bundle's features, window and labels need {given} -> {made}",
        )
    return StreamingRecognizer(encoder, head, manifest.features, g, tuple(manifest.labels), manifest.decision)


def seal(folder: Path, manifest: Manifest, float32: StreamingRecognizer) -> Manifest:
    """Make a bundle of the model files in `folder`: write the golden values and the manifest, which is returned with
    the hash of every file.

    `float32`: the same model before export and quantization (edge.verify.torch_recognizer).
    """
    made = {runtime: build_recognizer(folder, manifest, runtime, threads=1) for runtime in manifest.models}
    golden.write(folder, manifest.labels, float32, made)
    manifest = replace(manifest, files=list_files(folder))
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
    return manifest


def list_files(folder: Path) -> dict[str, dict]:
    """The manifest's entry for every file in `folder`."""
    return {path.name: {"sha256": file_hash(path), "bytes": path.stat().st_size} for path in sorted(folder.iterdir())}


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that becomes `out` if the block ends well, and disappears if it does not.

    Raises InputError if `out` exists.
    """
    out = Path(out)
    require(not out.exists(), f"{out}: exists already; give another --out or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield part
        part.chmod(0o755)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
