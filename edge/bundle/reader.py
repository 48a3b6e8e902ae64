"""A bundle is all a device needs: a folder with `bundle.json`, the model files, `speakers.npz` and `golden.npz`.

Loading checks every hash and replays a short golden waveform through features, encoder and head, for a bundle that does
not ship in a process of its own first (`edge.bundle.sandbox`); what differs is named, and nothing is run. Nothing in a
bundle is ever unpickled.
"""

from dataclasses import dataclass
from pathlib import Path

from crnn.errors import InputError, require
from edge import runtimes
from edge.bundle import golden
from edge.bundle.manifest import MANIFEST, SPEAKERS, Manifest, read_manifest
from edge.bundle.sandbox import prove
from edge.stream.profile import Speakers, load_profile, load_speakers
from edge.stream.recognizer import StreamingRecognizer

PRETRAINED = Path(__file__).parents[1] / "pretrained" / "int8"
"""The bundle that ships with the project; its model card stands beside it"""


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
        """Whether it is one of the bundles that lie beside this code."""
        return self.path.resolve().parent == PRETRAINED.parent.resolve()

    def proved(self, runtime: str, threads: int) -> StreamingRecognizer:
        """Load the models and replay the golden waveform, here and now (see `sandbox`). Raises as `recognizer`."""
        recognizer = build_recognizer(self.path, self.manifest, runtime, threads)
        golden.check(recognizer, runtime, self.manifest.model_files(runtime).scheme, self.path)
        return recognizer

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
        self.manifest.model_files(name)
        if not self.ships:
            prove(self.path, name, repr(self.manifest))
        recognizer = self.proved(name, threads)
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
        (encoder, files.encoder, (1, manifest.features.n_mels, g.block_frames), (1, g.interval_steps, width)),
        (head, files.head, (1, g.window_steps, width), (1, len(manifest.labels) + pooled)),
    ):
        contract = model.contract
        require(
            (contract.input_shape, contract.output_shape) == (given, made),
            f"{folder / file}: {contract}; the bundle's features, window and labels need {given} -> {made}",
        )
    return StreamingRecognizer(encoder, head, manifest.features, g, tuple(manifest.labels), manifest.decision)
