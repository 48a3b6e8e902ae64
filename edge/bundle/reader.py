"""Opens bundles.

Opening checks every hash. Loading replays the golden waveform through features, encoder and head; any difference is an
error. A bundle that is not one of the shipped ones is loaded in a child process first (`edge.bundle.sandbox`). Nothing
in a bundle is unpickled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crnn.errors import InputError, require
from edge import runtimes
from edge.bundle import golden
from edge.bundle.manifest import MANIFEST, SPEAKERS, WINDOW, Manifest, read_manifest
from edge.bundle.sandbox import prove
from edge.stream.pair_recognizer import PairRecognizer
from edge.stream.people import load_people
from edge.stream.profile import Speakers, load_profile, load_speakers
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.window_recognizer import WindowRecognizer

PRETRAINED = Path(__file__).parents[1] / "pretrained" / "int8"
"""The shipped int8 bundle; its model card is in the folder above"""


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk with a checked manifest and checked hashes."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> "Bundle":
        """Read the manifest and check every file's hash.

        Raises InputError that names the file: missing, changed, from a newer version, or not listed properly.
        """
        path = Path(path)
        try:
            return cls(path, read_manifest(path))
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error

    def default_runtime(self) -> str:
        """The first runtime of the bundle that is installed here."""
        found = [name for name in self.manifest.models if runtimes.installed(name)]
        require(bool(found), f"{self.path}: none of its runtimes is installed here ({', '.join(self.manifest.models)})")
        return found[0]

    @property
    def ships(self) -> bool:
        """Whether it is one of the shipped bundles."""
        return self.path.resolve().parent == PRETRAINED.parent.resolve()

    def proved(self, runtime: str, threads: int) -> StreamingRecognizer:
        """Load the models and replay the golden waveform in this process (see `sandbox`). Raises as `recognizer`."""
        recognizer = build_recognizer(self.path, self.manifest, runtime, threads)
        golden.check(recognizer, runtime, self.manifest.model_files(runtime).scheme, self.path)
        return recognizer

    def speakers(self, recognizer: StreamingRecognizer) -> Speakers:
        """Statistics of the training speakers, for enrolment. `recognizer`: one of this bundle."""
        return load_speakers(self.path / SPEAKERS, recognizer.pooled_width, len(recognizer.labels))

    def recognizer(
        self, runtime: str | None = None, threads: int = 1, profile: Path | Sequence[Path] | None = None
    ) -> StreamingRecognizer:
        """Load the models, replay the golden waveform and return a recognizer with its own stream.

        Args:
            runtime: None: the first of the bundle that is installed.
            profile: file of a person's profile; several: `people`, of whom each segment chooses (`edge.stream.people`);
                None or none: for any speaker.

        Raises InputError that names what differs from the golden values, or what is wrong with the profile.
        """
        name = runtime or self.default_runtime()
        self.manifest.model_files(name)
        if not self.ships:
            prove(self.path, name, repr(self.manifest))
        recognizer = self.proved(name, threads)
        paths = [profile] if isinstance(profile, Path) else list(profile or ())
        made_for = self.manifest.identity, recognizer.labels, recognizer.pooled_width
        if len(paths) == 1:
            recognizer.profile = load_profile(paths[0], *made_for)
        elif paths:
            recognizer.people = load_people(paths, *made_for, recognizer.features.n_mels)
        return recognizer


def build_recognizer(folder: Path, manifest: Manifest, runtime: str, threads: int) -> StreamingRecognizer:
    """A recognizer from the files of one runtime; checks their shapes, but replays nothing."""
    return _built(folder, manifest, runtime, threads, "")


def _built(folder: Path, manifest: Manifest, runtime: str, threads: int, section: str) -> StreamingRecognizer:
    encoder, head = _models(folder, manifest, runtime, threads, section)
    settings = manifest.features, manifest.geometry, tuple(manifest.labels), manifest.decision
    if manifest.beside:
        small = _built(folder, manifest.small, runtime, threads, "beside.")
        return PairRecognizer(WindowRecognizer(encoder, head, *settings), small)
    recognizer = WindowRecognizer if manifest.kind == WINDOW else StreamingRecognizer
    return recognizer(encoder, head, *settings, manifest.arousal)


def _models(
    folder: Path, manifest: Manifest, runtime: str, threads: int, section: str
) -> tuple[runtimes.Model, runtimes.Model]:
    """Encoder and head of one runtime, their shapes and scheme checked; not those of `beside`."""
    files = manifest.model_files(runtime)
    schemes = (runtimes.WEIGHT_INT8,) if manifest.kind == WINDOW else runtimes.SCHEMES
    scheme = f"{folder / MANIFEST}: {section}models.{runtime}.scheme"
    require(files.scheme in schemes, f"{scheme} is unknown: {files.scheme}")
    g = manifest.geometry
    encoder = runtimes.load(runtime, folder / files.encoder, threads)
    head = runtimes.load(runtime, folder / files.head, threads)
    width = encoder.contract.output_shape[-1]
    answers = len(manifest.labels) + (manifest.arousal and not manifest.beside)
    pooled = max(1, head.contract.output_shape[-1] - answers)
    n_mels, whole = manifest.features.n_mels, manifest.kind == WINDOW
    frames, steps, window = (
        ((1, n_mels, g.window_samples // g.hop_length), (1, width), (1, width))
        if whole
        else ((1, n_mels, g.block_frames), (1, g.interval_steps, width), (1, g.window_steps, width))
    )
    for model, file, given, made in (
        (encoder, files.encoder, frames, steps),
        (head, files.head, window, (1, answers + pooled)),
    ):
        contract = model.contract
        require(
            (contract.input_shape, contract.output_shape) == (given, made),
            f"{folder / file}: {contract}; the bundle's features, window and labels need {given} -> {made}",
        )
    for file, kinds in zip((files.encoder, files.head), runtimes.fitting(runtime, files.scheme), strict=True):
        weights = runtimes.weights_of(runtimes.constants(runtime, folder / file))
        require(
            weights in kinds,
            f"{scheme} is {files.scheme}, but {file} has {weights} weights; copy the whole folder again",
        )
    return encoder, head
