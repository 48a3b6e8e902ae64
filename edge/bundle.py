"""A bundle is all a device needs: a folder with `bundle.json`, the model files, `speakers.npz` and `golden.npz`.

Loading checks every hash and replays a short golden waveform through features, encoder and head; what differs is
named, and nothing is run. Nothing in a bundle is ever unpickled.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from crnn.config import FeatureConfig, InputError, StreamGeometry, from_dict, require
from crnn.features import LogMel
from edge import runtimes
from edge.decision import DecisionConfig
from edge.profile import Speakers, load_profile, load_speakers
from edge.streaming import StreamingRecognizer

SCHEMA = 3
MANIFEST = "bundle.json"
GOLDEN = "golden.npz"
SPEAKERS = "speakers.npz"
GOLDEN_FRAMES = 8
"""Frames whose features are kept, the last of the first hop: they hold every band, and more would only take bytes"""
PRETRAINED = Path(__file__).parent / "pretrained" / "int8"
"""The bundle that ships with the project; its model card stands beside it"""

FEATURE_TOLERANCE = 1e-4
"""Largest difference of log-mel values from the golden ones"""
MODEL_TOLERANCE = {"float32": 1e-3, "float16": 1e-3, "dynamic_int8": 5e-2, "static_int8": 5e-2}
"""Likewise of logits and pooled vectors, by scheme: int8 kernels round differently from processor to processor"""


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
        expected = self._golden()
        require(
            tuple(expected.get("labels", ())) == recognizer.labels,
            f"{self.path / MANIFEST}: labels {recognizer.labels} are not those the bundle was made with",
        )
        tolerance = MODEL_TOLERANCE[self.manifest.model_files(name).scheme]
        for what, value in replay(recognizer, expected["waveform"]).items():
            key, limit = ("log_mel", FEATURE_TOLERANCE) if what == "log_mel" else (f"{name}_{what}", tolerance)
            require(key in expected, f"{self.path / GOLDEN}: has no golden {key}")
            if what == "log_mel":
                value = value[:, -expected[key].shape[-1] :]
            require(
                value.shape == expected[key].shape,
                f"{self.path}: {what} under {name} has shape {value.shape}, golden {expected[key].shape}",
            )
            difference = float(np.abs(value - expected[key]).max())
            require(
                difference <= limit,
                f"{self.path}: {what} under {name} differs from the golden values by {difference:.2g} "
                f"(limit {limit:g}); refusing to run",
            )
        if profile is not None:
            recognizer.profile = load_profile(
                profile, self.manifest.identity, recognizer.labels, recognizer.pooled_width
            )
        return recognizer

    def _golden(self) -> dict[str, np.ndarray]:
        try:
            with np.load(self.path / GOLDEN, allow_pickle=False) as golden:
                return {key: golden[key] for key in golden.files}
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{self.path / GOLDEN}: cannot be read ({error}); copy the bundle again") from error


def build_recognizer(folder: Path, manifest: Manifest, runtime: str, threads: int) -> StreamingRecognizer:
    """A recognizer over the files of one runtime, their shapes checked against the geometry, nothing replayed."""
    files = manifest.model_files(runtime)
    require(files.scheme in MODEL_TOLERANCE, f"{folder / MANIFEST}: unknown scheme {files.scheme}")
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


def golden_waveform(manifest: Manifest) -> np.ndarray:
    """Pulses like those of a voice whose pitch and level move, over clicks, two decisions long, int16 `(time,)`.

    Generated, so that no recording is ever part of a bundle; mostly zeros, so that it takes little of it.
    """
    g, rate = manifest.geometry, manifest.features.sample_rate
    time = np.arange(g.window_samples + g.hop_samples) / rate
    cycles = np.cumsum(140 + 60 * np.sin(2 * np.pi * 0.7 * time)) / rate
    level = 6000 + 5000 * np.sin(2 * np.pi * 1.5 * time)
    pulses = np.where(np.diff(np.floor(cycles), prepend=0) > 0, level, 0)
    pulses = pulses - 0.7 * np.roll(pulses, 3)
    pulses[:: rate // 40] += 300
    return np.round(pulses).astype(np.int16)


def replay(recognizer: StreamingRecognizer, waveform: np.ndarray) -> dict[str, np.ndarray]:
    """What the recognizer makes of `waveform` (int16): log_mel of its first hop, logits and pooled vector of every
    decision."""
    g = recognizer.geometry
    samples = waveform.astype(np.float32) / 32768
    decisions = [result for result in recognizer.push(samples) if result.logits is not None]
    recognizer.reset()
    return {
        "log_mel": LogMel(recognizer.features)(np.pad(samples, (g.lead_samples, 0))[: g.first_samples]),
        "logits": np.stack([result.logits for result in decisions]),
        "pooled": np.stack([result.pooled for result in decisions]),
    }


def write_golden(folder: Path, manifest: Manifest) -> None:
    """Write `golden.npz` from the model files in `folder`, under each runtime of the manifest."""
    waveform = golden_waveform(manifest)
    golden = {"waveform": waveform, "labels": np.array(manifest.labels)}
    for runtime in manifest.models:
        made = replay(build_recognizer(folder, manifest, runtime, threads=1), waveform)
        golden |= {"log_mel": made["log_mel"][:, -GOLDEN_FRAMES:]}
        golden |= {f"{runtime}_{what}": made[what] for what in ("logits", "pooled")}
    np.savez_compressed(folder / GOLDEN, **golden)


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """Make a bundle of the model files in `folder`: write the golden values and the manifest, which is returned with
    the hash of every file."""
    write_golden(folder, manifest)
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
