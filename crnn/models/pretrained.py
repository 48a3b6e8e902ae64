"""Pretrained speech encoders in folders of any kind (`crnn.models.encoder_folders`): the layers of a recording.

Nothing here imports torch, or what runs an encoder, before a recording is embedded.
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
from crnn.files.strict import file_hash
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
HUB_FILES = (
    *("*config.json", "tokenizer.json", "*.safetensors"),
    *("config.yaml", "model.pt", "emotion2vec*.pt"),  # emotion2vec
)
"""What is fetched from the hub"""


@dataclass(frozen=True)
class SpeechEncoder:
    """A frozen encoder; its weights are loaded when the first recording is embedded."""

    folder: Path
    family: str
    """`model_type` of its config.json, or emotion2vec"""
    layers: tuple[int, ...]
    """Whose outputs are taken: 1 is the first layer"""
    layer_width: int
    """Of the output of one layer"""
    sha256: str
    """Of the weights: of their file, or of the hashes of all their files"""
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
        from crnn.models.encoder_folders import read_folder

        return read_folder(self.folder).open(max(self.layers)).eval()

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
    (OWNER/MODEL). Raises InputError if the extra `hub` is missing, the hub cannot be reached, or it has no such model.
    """
    folder = Path(given)
    if folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", given):
        return folder
    require(find_spec("huggingface_hub") is not None, f"{given}: no such folder; to fetch it by name: {install('hub')}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(given, allow_patterns=[*HUB_FILES]))
    except (OSError, ValueError, HfHubHTTPError) as error:
        why = brief(" ".join(str(error).split()))
        raise InputError(f"{given}: no such folder, and not to be had from the hub ({why}); give a folder") from error


def open_encoder(folder: Path, layers: Sequence[int]) -> SpeechEncoder:
    """Read what a folder holds, without loading its weights. Layer 0 is the input of the first; no `layers` mean all.

    Raises InputError if the extra that opens it is missing, the folder is of no known kind or lacks weights, or its
    encoder takes another sampling rate or has no such layers. Nothing is downloaded or unpickled.
    """
    from crnn.models.encoder_folders import read_folder  # torch

    found = read_folder(folder)
    missing = [package for package in found.packages if find_spec(package) is None]
    require(not missing, f"a pretrained speech encoder needs {', '.join(missing)}: {install(found.extra)}")
    n_layers = found.n_layers
    beyond = [layer for layer in layers if not 0 <= layer <= n_layers]
    require(not beyond, f"layers {brief(beyond)} are asked for; {folder} has layers 1 to {n_layers}, 0 is their input")
    layers = tuple(layers) or tuple(range(n_layers + 1))
    try:
        own, hashes = file_hash(found.config), [file_hash(file) for file in found.weights]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    sha256 = hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()
    facts = f"1 {own} {sha256} {[*layers]} {RMS} {MIN_SAMPLES}"
    key = hashlib.sha256(facts.encode()).hexdigest()[:24]
    return SpeechEncoder(folder, found.family, layers, found.layer_width, sha256, key)
