"""The licences that go with a copy of a bundle: of weights that ship, and of a speech encoder in a larger bundle."""

from dataclasses import dataclass
from pathlib import Path

from crnn.errors import require
from crnn.files.strict import read_bounded
from edge.bundle.large import SHIPS
from edge.bundle.manifest import MANIFEST, WINDOW, Manifest, read_manifest
from edge.bundle.reader import Bundle

OURS = SHIPS.parent / "LICENSE"
"""Of the weights that ship, CC BY-NC-SA 4.0"""
WHISPER = SHIPS.parent / "LICENSE-whisper"
"""Of the layers of Whisper, MIT"""
LARGEST = 2**20
"""Bytes of a licence"""
NOT_NAMED = (
    "Licence: not named yet. It follows from those of the recordings, and of a speech encoder that taught it. "
    "Write it into the front matter (`license:`) before you publish."
)


@dataclass(frozen=True)
class Notices:
    """What a model card says of licences, and their texts, which go with every copy."""

    text: str
    files: tuple[Path, ...]


def shipped() -> list[Manifest]:
    """Those of the bundles that ship."""
    return [read_manifest(file.parent) for file in sorted(SHIPS.parent.glob(f"*/{MANIFEST}"))]


def is_ours(manifest: Manifest) -> bool:
    """Whether it is that of a bundle that ships, wherever a copy of it lies."""
    return manifest in shipped()


def notices_of(manifest: Manifest) -> Notices:
    """Raises TypeError, LookupError or AttributeError for a provenance that quantize.py does not write."""
    made = manifest.provenance
    sentences, files = [NOT_NAMED], []
    if is_ours(manifest):
        sentences, files = [f"Licence: CC BY-NC-SA 4.0 (`{OURS.name}`)."], [OURS]
    elif made.get("beside", {}).get("identity") in [each.identity for each in shipped()]:
        sentences.append(f"The small model in it comes with crnn-ser, under CC BY-NC-SA 4.0 (`{OURS.name}`).")
        files.append(OURS)
    if manifest.kind == WINDOW or "contains" in made:
        encoder, known = made["contains"], read_manifest(SHIPS).provenance["contains"]
        held = f"It holds the first {max(encoder['layers'])} layers of the speech encoder {encoder['name']}"
        if encoder["sha256"] == known["sha256"]:
            sentences.append(f"{held}, which is Whisper base, under the MIT licence (`{WHISPER.name}`).")
            files.append(WHISPER)
        else:
            weights = f"{encoder['family']}, weights {encoder['sha256'][:12]}"
            sentences.append(f"{held} ({weights}), whose licence holds for them: put it beside this file.")
    if files:
        sentences.append("Give these texts along with every copy.")
    return Notices(" ".join(sentences), tuple(files))


def licences_of(bundle: Bundle) -> dict[str, bytes]:
    """File name -> content of every licence that goes with a copy: those of `notices_of`, and those beside the bundle.

    Raises InputError for one beside it that is a link or too large, or that differs from one of the same name which the
    copy needs; otherwise as `notices_of`.
    """
    found = {path.name: read_bounded(path, LARGEST) for path in notices_of(bundle.manifest).files}
    for path in sorted(set(bundle.path.glob("LICENSE*")) - {bundle.path / name for name in bundle.manifest.files}):
        text = read_bounded(path, LARGEST, follow=False)
        require(
            found.setdefault(path.name, text) == text,
            f"{path}: is not the licence of this name that goes with a copy; call yours LICENSE-mine",
        )
    return found
