"""The trained weights beside a float32 bundle, as bytes: `weights.safetensors`, and `weights.json` with their hash.

Training (`--init`) and another export start from them (`edge.export.weights`). A device reads neither, so the manifest
does not list them.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from crnn.config import from_dict
from crnn.errors import require
from crnn.files.strict import read_bounded, read_json
from edge.bundle.manifest import MANIFEST, Manifest

WEIGHTS, FACTS = "weights.safetensors", "weights.json"
LARGEST_WEIGHTS, LARGEST_FACTS = 256 * 2**20, 4096
"""Bytes"""


@dataclass(frozen=True)
class WeightsFacts:
    """The content of `weights.json`."""

    bundle: str
    """Identity of the bundle that the weights belong to (`Manifest.identity`)"""
    sha256: str
    """Of `weights.safetensors`, hexadecimal"""


def write_weights_file(folder: Path, manifest: Manifest, data: bytes) -> None:
    """Write the bytes of a safetensors file beside the sealed bundle in `folder`."""
    (folder / WEIGHTS).write_bytes(data)
    facts = WeightsFacts(manifest.identity, hashlib.sha256(data).hexdigest())
    (folder / FACTS).write_text(json.dumps(asdict(facts), indent=1) + "\n", encoding="utf-8")


def read_weights_file(folder: Path, manifest: Manifest) -> bytes:
    """The bytes of the weights beside a bundle, their hash checked. Raises InputError that names the file."""
    for name in (WEIGHTS, FACTS):
        require(
            (folder / name).is_file(),
            f"{folder}: has no {name}, which training and export start from; make a float32 bundle that has one: "
            "quantize.py RUN --scheme float32 --out BUNDLE",
        )
    facts = from_dict(WeightsFacts, read_json(folder / FACTS, LARGEST_FACTS, follow=False), str(folder / FACTS))
    require(
        facts.bundle == manifest.identity,
        f"{folder / FACTS}: belongs to another bundle than {MANIFEST}; copy the whole folder again",
    )
    data = read_bounded(folder / WEIGHTS, LARGEST_WEIGHTS, follow=False)
    require(
        hashlib.sha256(data).hexdigest() == facts.sha256,
        f"{folder / WEIGHTS}: its hash is not the one in {FACTS}; the file was changed or damaged, copy it again",
    )
    return data
