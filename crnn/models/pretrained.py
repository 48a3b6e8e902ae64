"""Pretrained speech encoders in transformers' folders: the mean over time of hidden layers, for a frozen teacher.

One function per family stands in `FAMILIES`; Whisper (Radford et al. 2022) is the first. Whoever imports transformers
beside a CPU-only torch imports torchaudio first (`augment.torchaudio_import`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.files.strict import file_hash, read_json

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE_RATE = 16000
"""Hz, of every encoder's input"""
RMS = 0.05
"""Level of every recording that an encoder receives: the answer must not depend on the recording's gain"""
MIN_SAMPLES = 1600
"""Shorter recordings are padded with zeros to this length"""
LARGEST_CONFIG = 2**20
"""Bytes"""

HiddenMeans = Callable[["Tensor"], "Tensor"]
"""`waveform (time,)` at RMS level -> `(n_layers, width)`, the means over time of the chosen layers"""


@dataclass(frozen=True)
class SpeechEncoder:
    """A frozen encoder; its weights are loaded when the first recording is embedded."""

    folder: Path
    family: str
    """`model_type` of its config.json"""
    layers: tuple[int, ...]
    """Whose outputs are taken: 1 is the first layer"""
    width: int
    """Of an embedding: layers times the width of one"""
    sha256: str
    """Of the weights: of the .safetensors file, or of the hashes of all of them"""
    key: str
    """Hash of all that an embedding depends on"""

    def describe(self) -> dict:
        """Which encoder this is, as plain values for run folders and bundles."""
        return {"family": self.family, "name": self.folder.name, "sha256": self.sha256, "layers": list(self.layers)}

    @cached_property
    def _means(self) -> HiddenMeans:
        return FAMILIES[self.family](self.folder, self.layers)

    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """`waveform (time,)` float32 at 16 kHz -> `(width,)` float32. Of a recording longer than the encoder takes
        (Whisper: 30 s) the beginning counts. Raises InputError for broken weights."""
        import torch

        centred = waveform.astype(np.float32) - np.float32(waveform.mean())
        level = centred / (np.sqrt(np.mean(centred**2)) + np.float32(1e-8)) * np.float32(RMS)
        padded = np.pad(level, (0, max(0, MIN_SAMPLES - len(level))))
        with torch.inference_mode():
            means = self._means(torch.from_numpy(padded)).flatten().numpy()
        require(bool(np.isfinite(means).all()), f"{self.folder}: gives NaN or infinite values; copy the folder again")
        return means


def open_encoder(folder: Path, layers: Sequence[int]) -> SpeechEncoder:
    """Read what a folder holds, without loading its weights.

    Raises InputError if the extra `teacher` is missing, the folder is none of a known family with .safetensors weights,
    or it has no such layers. Nothing is downloaded or unpickled.
    """
    missing = [package for package in ("transformers", "sklearn") if find_spec(package) is None]
    require(not missing, f"a speech encoder as teacher needs {', '.join(missing)}: {install('teacher')}")
    where = folder / "config.json"
    require(where.is_file(), f"{folder}: no speech encoder; give a folder with config.json and model.safetensors")
    config = read_json(where, LARGEST_CONFIG)
    family = config.get("model_type")
    require(
        isinstance(family, str) and family in FAMILIES,
        f"{where}: model_type is {brief(family)}; encoders of {', '.join(FAMILIES)} are read",
    )
    n_layers, width = config.get("encoder_layers"), config.get("d_model")
    if type(n_layers) is not int or type(width) is not int:
        raise InputError(f"{where}: lacks encoder_layers or d_model; copy the folder again")
    beyond = [layer for layer in layers if not 1 <= layer <= n_layers]
    require(not beyond, f"teacher.layers names {brief(beyond)}; {folder} has layers 1 to {n_layers}")
    files = sorted(folder.glob("*.safetensors"))
    require(len(files) > 0, f"{folder}: no .safetensors file; weights in other formats are not read, convert them")
    try:
        own, hashes = file_hash(where), [file_hash(file) for file in files]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    sha256 = hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()
    facts = f"1 {own} {sha256} {[*layers]} {RMS} {MIN_SAMPLES}"
    key = hashlib.sha256(facts.encode()).hexdigest()[:24]
    return SpeechEncoder(folder, str(family), tuple(layers), width * len(layers), sha256, key)


def _loaded(model_class: Any, folder: Path, used: str) -> Any:
    """The model of a folder in float32, if every weight under the name `used` is in its files."""
    import torch
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.set_verbosity_error()  # transformers lists the decoder's tensors and draws a progress bar
    logging.disable_progress_bar()
    try:
        model, info = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    # Types that transformers, torch and safetensors raise for files that do not fit each other.
    except (OSError, ValueError, RuntimeError, TypeError, LookupError, AttributeError, SafetensorError) as error:
        raise InputError(
            f"{folder}: cannot be opened ({brief(' '.join(str(error).split()))}); copy the folder again"
        ) from error
    # transformers draws what is missing at random.
    lacking = sorted(name for name in info["missing_keys"] if name.startswith(used))
    require(not lacking, f"{folder}: its weights lack {', '.join(lacking[:3])}; copy the folder again")
    return model


def _whisper(folder: Path, layers: tuple[int, ...]) -> HiddenMeans:
    """The encoder, its positions cut to the clip's length. Its own forward takes clips padded to 30 s alone, ten times
    the positions of a clip of 3 s."""
    import torch
    from transformers import WhisperFeatureExtractor, WhisperModel

    encoder = _loaded(WhisperModel, folder, "encoder.").encoder.eval()
    log_mel = WhisperFeatureExtractor(feature_size=encoder.config.num_mel_bins)
    longest = encoder.config.max_source_positions * 2 * log_mel.hop_length

    def means(waveform: Tensor) -> Tensor:
        clip = waveform[:longest].numpy()
        features = log_mel(clip, sampling_rate=SAMPLE_RATE, padding="do_not_pad", return_tensors="pt").input_features
        states = torch.nn.functional.gelu(encoder.conv1(features))
        states = torch.nn.functional.gelu(encoder.conv2(states)).permute(0, 2, 1)
        states = states + encoder.embed_positions.weight[: states.shape[1]]
        found = {}
        for number, layer in enumerate(encoder.layers[: max(layers)], 1):
            states = layer(states, None)
            found[number] = states[0].mean(dim=0)
        return torch.stack([found[layer] for layer in layers])

    return means


FAMILIES: dict[str, Callable[[Path, tuple[int, ...]], HiddenMeans]] = {"whisper": _whisper}
"""`model_type` -> opens a folder of that family"""
