"""Speech encoders as torch modules: `waveform (batch, time)` -> the outputs of their layers; those of transformers.

`FAMILIES` has one line per family of transformers. Whoever imports transformers beside a CPU-only torch imports
torchaudio first (`augment.torchaudio_import`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.files.strict import read_json
from crnn.models.pretrained import LARGEST_CONFIG, SAMPLE_RATE


class HiddenStates(nn.Module, ABC):
    """A speech encoder of a folder.

    Args:
        folder: it holds the weights as .safetensors.
        last: the last layer that is needed.
    """

    layers: nn.ModuleList
    """Its transformer layers, the first `last` of them"""
    lora: tuple[str, ...]
    """Names of linear layers to which LoRA may add its own"""

    @abstractmethod
    def forward(self, waveform: Tensor) -> list[Tensor]:
        """`waveform (batch, time)` at 16 kHz, RMS level and without offset -> `last` + 1 times `(batch, steps, width)`:
        the input of the first layer, then the output of each."""


def imported(*names: str) -> Any:
    """transformers, with these of its classes. Raises InputError where it, or torchaudio beside it, cannot be
    imported."""
    try:
        import transformers

        for name in names:
            getattr(transformers, name)
    except (ImportError, OSError, RuntimeError) as error:
        why = brief(" ".join(str(error).split()))
        raise InputError(f"transformers cannot be imported here ({why}): {install('teacher')}") from error
    return transformers


def loaded(model_class: Any, folder: Path, used: str | tuple[str, ...]) -> Any:
    """The model of a folder in float32, if every weight whose name begins with `used` is in its files. Raises
    InputError."""
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
    # transformers draws what is missing at random; a mask for masked pretraining is not used.
    lacking = sorted(n for n in info["missing_keys"] if n.startswith(used) and not n.endswith("masked_spec_embed"))
    require(not lacking, f"{folder}: its weights lack {', '.join(lacking[:3])}; copy the folder again")
    return model


class WhisperStates(HiddenStates):
    """Whisper (Radford et al. 2022), its positions cut to the clip's length: its own forward takes clips padded to 30 s
    alone, ten times the positions of a clip of 3 s. Of a longer clip the beginning counts."""

    lora = ("q_proj", "v_proj")

    def __init__(self, folder: Path, last: int) -> None:
        super().__init__()
        transformers = imported("WhisperFeatureExtractor", "WhisperModel")
        encoder = loaded(transformers.WhisperModel, folder, "encoder.").encoder
        self.conv1, self.conv2, self.positions = encoder.conv1, encoder.conv2, encoder.embed_positions
        self.layers = encoder.layers[:last]
        self._log_mel = transformers.WhisperFeatureExtractor(feature_size=encoder.config.num_mel_bins)
        self.longest = encoder.config.max_source_positions * 2 * self._log_mel.hop_length
        """Samples that it takes"""

    def forward(self, waveform: Tensor) -> list[Tensor]:
        clips = [*waveform[:, : self.longest].cpu().numpy()]
        made = self._log_mel(clips, sampling_rate=SAMPLE_RATE, padding="do_not_pad", return_tensors="pt")
        return self.of_log_mel(made.input_features.to(waveform.device))

    def of_log_mel(self, log_mel: Tensor) -> list[Tensor]:
        """The same from Whisper's features `(batch, n_mels, frames)` (`crnn.whisper_features`)."""
        states = nn.functional.gelu(self.conv1(log_mel))
        states = nn.functional.gelu(self.conv2(states)).permute(0, 2, 1)
        found = [states + self.positions.weight[: states.shape[1]]]
        for layer in self.layers:
            found.append(layer(found[-1], None))
        return found


class Wav2Vec2States(HiddenStates):
    """wav2vec 2.0 (Baevski et al. 2020), and what has its shape in transformers. Masking, which is for pretraining, and
    layer drop are off."""

    def __init__(self, folder: Path, last: int, model_class: str, lora: tuple[str, ...]) -> None:
        super().__init__()
        self.lora, self._last = lora, last
        self.model = loaded(getattr(imported(model_class), model_class), folder, "")
        self.model.config.apply_spec_augment = False
        self.model.config.layerdrop = 0.0
        self.layers = self.model.encoder.layers[:last]
        where = folder / "preprocessor_config.json"
        self._standard = bool(read_json(where, LARGEST_CONFIG).get("do_normalize")) if where.is_file() else True

    def forward(self, waveform: Tensor) -> list[Tensor]:
        if self._standard:  # trained on clips of variance 1
            waveform = waveform / waveform.square().mean(dim=1, keepdim=True).add(1e-7).sqrt()
        return [*self.model(waveform, output_hidden_states=True).hidden_states[: self._last + 1]]


@dataclass(frozen=True)
class EncoderFolder:
    """What a folder says of its encoder."""

    family: str
    n_layers: int
    layer_width: int
    """Of the output of one layer"""
    config: Path
    """The file that says so"""
    weights: tuple[Path, ...]
    """At least one file"""
    packages: tuple[str, ...]
    """What must be installed to open it, by the extra `extra`"""
    extra: str
    open: Callable[[int], HiddenStates]
    """The last layer that is needed -> encoder. Raises InputError for broken weights"""


@dataclass(frozen=True)
class Family:
    """How a family is opened."""

    n_layers: str
    """Key of config.json"""
    width: str
    """Key of config.json"""
    open: Callable[[Path, int], HiddenStates]
    """Folder, the last layer that is needed -> encoder. Raises InputError for broken weights"""


def _wav2vec2(model_class: str, *lora: str) -> Family:
    def opened(folder: Path, last: int) -> HiddenStates:
        return Wav2Vec2States(folder, last, model_class, lora)

    return Family("num_hidden_layers", "hidden_size", opened)


FAMILIES: dict[str, Family] = {
    "whisper": Family("encoder_layers", "d_model", WhisperStates),
    "wav2vec2": _wav2vec2("Wav2Vec2Model", "q_proj", "v_proj"),
    "hubert": _wav2vec2("HubertModel", "q_proj", "v_proj"),
    # WavLM's attention reads the weights of its projections without calling them.
    "wavlm": _wav2vec2("WavLMModel", "intermediate_dense", "output_dense"),
    "data2vec-audio": _wav2vec2("Data2VecAudioModel", "q_proj", "v_proj"),
}
"""`model_type` of config.json -> family"""


def transformers_folder(folder: Path) -> EncoderFolder:
    """What a folder of transformers says of itself (`crnn.models.encoder_folders`). Raises InputError."""
    where = folder / "config.json"
    config = read_json(where, LARGEST_CONFIG)
    name = config.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        raise InputError(f"{where}: model_type is {brief(name)}; encoders of {', '.join(FAMILIES)} are read")
    family = FAMILIES[name]
    n_layers, width = config.get(family.n_layers), config.get(family.width)
    if type(n_layers) is not int or type(width) is not int:
        raise InputError(f"{where}: lacks {family.n_layers} or {family.width}; copy the folder again")
    sound = folder / "preprocessor_config.json"
    rate = read_json(sound, LARGEST_CONFIG).get("sampling_rate", SAMPLE_RATE) if sound.is_file() else SAMPLE_RATE
    require(rate == SAMPLE_RATE, f"{sound}: sampling_rate is {brief(rate)}; encoders of {SAMPLE_RATE} Hz are read")
    files = tuple(sorted(folder.glob("*.safetensors")))
    require(len(files) > 0, f"{folder}: no .safetensors file; weights in other formats are not read, convert them")
    needed = ("transformers", "sklearn")
    return EncoderFolder(name, n_layers, width, where, files, needed, "teacher", lambda last: family.open(folder, last))
