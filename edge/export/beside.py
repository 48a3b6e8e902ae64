"""A small bundle whose model joins a larger one (`edge.stream.pair_recognizer`): what it must be, and its files."""

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from crnn.config import StreamGeometry
from crnn.data.splits import Split
from crnn.errors import require
from edge.bundle import MANIFEST, STREAM, Beside, Bundle, build_recognizer
from edge.export.onnx_export import RUNTIME
from edge.stream.pair_recognizer import fills_window
from edge.stream.recognizer import StreamingRecognizer


@dataclass(frozen=True)
class Small:
    """The ONNX files of a small bundle."""

    bundle: Bundle

    @property
    def origin(self) -> dict:
        """Its provenance."""
        return self.bundle.manifest.provenance

    def recognizer(self) -> StreamingRecognizer:
        return build_recognizer(self.bundle.path, self.bundle.manifest, RUNTIME, threads=1)

    def copy_to(self, folder: Path) -> Beside:
        """Copy its files into the larger bundle's `folder`, as the returned entry of that one's manifest names them."""
        manifest = self.bundle.manifest
        files = manifest.model_files(RUNTIME)
        named = replace(files, encoder=f"small.{files.encoder}", head=f"small.{files.head}")
        for name, new in ((files.encoder, named.encoder), (files.head, named.head)):
            shutil.copyfile(self.bundle.path / name, folder / new)
        return Beside(manifest.features, manifest.geometry, {RUNTIME: asdict(named)})

    def describe(self) -> dict:
        """For the larger bundle's provenance."""
        named = ("corpora_heard", "seed", "n_params", "macs_per_window", "taught_by")
        of_it = {key: self.origin[key] for key in named if key in self.origin}
        return of_it | {"identity": self.bundle.manifest.identity}


def open_small(path: Path) -> Small:
    """Open the bundle. Raises InputError if its files are damaged, or none of the kind that can join."""
    bundle = Bundle.open(path)
    require(
        bundle.manifest.kind == STREAM and RUNTIME in bundle.manifest.models,
        f"{path}: a small bundle with ONNX files is wanted beside the larger one",
    )
    origin = bundle.manifest.provenance
    corpora = origin.get("corpora_heard")
    require(
        isinstance(corpora, list)
        and all(isinstance(name, str) for name in corpora)
        and all(type(origin.get(name)) is int for name in ("n_params", "macs_per_window")),
        f"{path / MANIFEST}: provenance lacks corpora_heard, n_params or macs_per_window; make the bundle again",
    )
    return Small(bundle)


def require_fitting(small: Small, split: Split, sample_rate: int, window: StreamGeometry) -> None:
    """Raises InputError unless it has the labels and the split of the larger one, and windows that those of the larger
    one, `window`, fill: on another split its training speakers may be among the development speakers, on which both are
    judged."""
    manifest, path = small.bundle.manifest, small.bundle.path
    require(manifest.labels == split.labels, f"{path}: its emotions are not {', '.join(split.labels)}, in this order")
    require(manifest.features.sample_rate == sample_rate, f"{path}: takes another sample rate than {sample_rate} Hz")
    require(
        fills_window(manifest.geometry, window),
        f"{path}: has windows of {manifest.geometry.sound_samples / sample_rate:.2f} s, which the larger one's, of "
        f"{window.window_samples / sample_rate:g} s, do not fill; take one of shorter windows",
    )
    theirs = small.origin.get("split_hash")
    require(
        theirs == split.hash,
        f"{path}: was trained on the split {theirs}, the larger one is on {split.hash}; take one of the same "
        "recordings, --protocol and --fold",
    )
