"""Pretrained speech encoders in transformers' folders: what a folder holds, and the layers of a recording.

Nothing here imports torch or transformers before a recording is embedded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.files.strict import file_hash, read_json
from crnn.whisper_features import RMS, at_level

if TYPE_CHECKING:
    from torch import Tensor

    from crnn.models.hidden_states import HiddenStates

SAMPLE_RATE = 16000
"""Hz, of every encoder's input"""
MIN_SAMPLES = 1600
"""Shorter recordings are padded with zeros to this length"""
LARGEST_CONFIG = 2**20
"""Bytes"""


@dataclass(frozen=True)
class SpeechEncoder:
    """A frozen encoder; its weights are loaded when the first recording is embedded."""

    folder: Path
    family: str
    """`model_type` of its config.json"""
    layers: tuple[int, ...]
    """Whose outputs are taken: 1 is the first layer"""
    layer_width: int
    """Of the output of one layer"""
    sha256: str
    """Of the weights: of the .safetensors file, or of the hashes of all of them"""
    key: str
    """Hash of all that an embedding depends on"""

    @property
    def width(self) -> int:
        """Of an embedding: layers times the width of one."""
        return self.layer_width * len(self.layers)

    def describe(self) -> dict:
        """Which encoder this is, as plain values for run folders and bundles."""
        return {"family": self.family, "name": self.folder.name, "sha256": self.sha256, "layers": list(self.layers)}

    def hidden_states(self) -> HiddenStates:
        """The encoder as a module, loaded anew."""
        from crnn.models.hidden_states import FAMILIES

        return FAMILIES[self.family].open(self.folder, max(self.layers)).eval()

    @cached_property
    def _loaded(self) -> HiddenStates:
        return self.hidden_states()

    def _states(self, waveform: np.ndarray) -> list[Tensor]:
        """The chosen layers' outputs `(steps, layer_width)` for a recording."""
        import torch

        with torch.inference_mode():
            found = self._loaded(torch.from_numpy(leveled(waveform))[None])
        return [found[layer][0] for layer in self.layers]

    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """`waveform (time,)` float32 at 16 kHz -> `(width,)` float32, the means over time. Of a recording longer than
        the encoder takes (Whisper: 30 s) the beginning counts. Raises InputError for broken weights."""
        return self._finite(np.concatenate([states.mean(dim=0).numpy() for states in self._states(waveform)]))

    def steps(self, waveform: np.ndarray) -> np.ndarray:
        """The same without the means: `(steps, layers, layer_width)` float16."""
        return self._finite(np.stack([states.numpy() for states in self._states(waveform)], axis=1).astype(np.float16))

    def _finite(self, values: np.ndarray) -> np.ndarray:
        finite = bool(np.isfinite(values).all())
        require(finite, f"{self.folder}: gives NaN or infinite values; copy the folder again")
        return values


def leveled(waveform: np.ndarray) -> np.ndarray:
    """`waveform (time,)` as encoders receive it: without its mean, at `RMS`, at least `MIN_SAMPLES` long."""
    level = at_level(waveform)
    return np.pad(level, (0, max(0, MIN_SAMPLES - len(level))))


def located(given: str) -> Path:
    """The folder of an encoder: `given` itself, or, where no such folder is, what the hub has under that name
    (OWNER/MODEL). Raises InputError if the hub cannot be reached or has no such model."""
    folder = Path(given)
    if folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", given) or find_spec("huggingface_hub") is None:
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(given, allow_patterns=["*config.json", "tokenizer.json", "*.safetensors"]))
    except (OSError, ValueError, HfHubHTTPError) as error:
        why = brief(" ".join(str(error).split()))
        raise InputError(f"{given}: no such folder, and not to be had from the hub ({why}); give a folder") from error


def open_encoder(folder: Path, layers: Sequence[int]) -> SpeechEncoder:
    """Read what a folder holds, without loading its weights. Layer 0 is the input of the first; no `layers` mean all.

    Raises InputError if the extra `teacher` is missing, the folder is none of a known family with .safetensors weights,
    of another sampling rate, or has no such layers. Nothing is downloaded or unpickled.
    """
    missing = [package for package in ("transformers", "sklearn") if find_spec(package) is None]
    require(not missing, f"a pretrained speech encoder needs {', '.join(missing)}: {install('teacher')}")
    from crnn.models.hidden_states import FAMILIES  # torch

    where = folder / "config.json"
    require(where.is_file(), f"{folder}: no speech encoder; give a folder with config.json and model.safetensors")
    config = read_json(where, LARGEST_CONFIG)
    name = config.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        raise InputError(f"{where}: model_type is {brief(name)}; encoders of {', '.join(FAMILIES)} are read")
    family = FAMILIES[name]
    n_layers, width = config.get(family.n_layers), config.get(family.width)
    if type(n_layers) is not int or type(width) is not int:
        raise InputError(f"{where}: lacks {family.n_layers} or {family.width}; copy the folder again")
    beyond = [layer for layer in layers if not 0 <= layer <= n_layers]
    require(not beyond, f"layers {brief(beyond)} are asked for; {folder} has layers 1 to {n_layers}, 0 is their input")
    layers = tuple(layers) or tuple(range(n_layers + 1))
    sound = folder / "preprocessor_config.json"
    rate = read_json(sound, LARGEST_CONFIG).get("sampling_rate", SAMPLE_RATE) if sound.is_file() else SAMPLE_RATE
    require(rate == SAMPLE_RATE, f"{sound}: sampling_rate is {brief(rate)}; encoders of {SAMPLE_RATE} Hz are read")
    files = sorted(folder.glob("*.safetensors"))
    require(len(files) > 0, f"{folder}: no .safetensors file; weights in other formats are not read, convert them")
    try:
        own, hashes = file_hash(where), [file_hash(file) for file in files]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    sha256 = hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()
    facts = f"1 {own} {sha256} {[*layers]} {RMS} {MIN_SAMPLES}"
    key = hashlib.sha256(facts.encode()).hexdigest()[:24]
    return SpeechEncoder(folder, name, layers, width, sha256, key)
