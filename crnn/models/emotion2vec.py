"""emotion2vec (Ma et al. 2023) in the folders that FunASR publishes: config.yaml and model.pt.

FunASR's model class computes; its loading is not used. It would fetch what is missing, run code that a configuration
names, and hand `feature_encoder_spec` of config.yaml to Python's `eval`. Here the class receives a configuration made
of checked values alone (`crnn.models.emotion2vec_config`), and weights are read without unpickling objects.
"""

import contextlib
import importlib
import io
import pickle
import sys
import warnings
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.models.emotion2vec_config import NAME, model_conf, read_settings
from crnn.models.hidden_states import EncoderFolder, HiddenStates
from crnn.models.pretrained import SAMPLE_RATE

LONGEST = 30 * SAMPLE_RATE
"""Samples of a clip that count: the memory of its attention grows with the square of the length"""
PREFIXES = ("", "d2v_model.", "module.")
"""What the names of the weights may begin with, as in FunASR"""
UNPICKLED = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    pickle.UnpicklingError,
)
"""What torch raises for a file that holds other things than tensors, or is broken"""


def emotion2vec_folder(folder: Path) -> EncoderFolder:
    """What a folder of emotion2vec says of itself (`crnn.models.encoder_folders`). Raises InputError."""
    where = folder / "config.yaml"
    settings = read_settings(where)
    return EncoderFolder(
        family="emotion2vec",
        n_layers=settings.depth,
        layer_width=settings.embed_dim,
        config=where,
        weights=(weights_file(folder),),
        packages=("funasr",),
        extra="emotion2vec",
        open=lambda last: Emotion2vecStates(folder, last),
    )


def weights_file(folder: Path) -> Path:
    """model.safetensors, model.pt, or the one emotion2vec*.pt of a folder. Raises InputError if there is none."""
    named = [folder / "model.safetensors", folder / "model.pt", *sorted(folder.glob("emotion2vec*.pt"))]
    found = [path for path in named if path.is_file()]
    require(len(found) > 0, f"{folder}: lacks its weights (model.pt); copy the folder again")
    return found[0]


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, without unpickling objects. Raises InputError."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be read ({brief(str(error))}); copy the folder again") from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UNPICKLED as error:
        raise InputError(
            f"{path}: cut off, or holds more than tensors, which is not unpickled because that can run code; copy the "
            "folder again, or save its tensors as model.safetensors"
        ) from error
    for name in ("state_dict", "model_state_dict", "model"):
        found = found.get(name, found) if isinstance(found, dict) else found
    require(isinstance(found, dict), f"{path}: holds no named tensors; copy the folder again")
    return {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, Tensor)}


def model_class() -> Any:
    """FunASR's `Emotion2vec`. Raises InputError where it cannot be imported.

    `import funasr` would import all of its 350 files, some of which start programs: its folder is known under its name
    while this one class is imported, and no longer.
    """
    name, spec = "funasr.models.emotion2vec.model", find_spec("funasr")
    require(spec is not None, f"emotion2vec needs funasr: {install('emotion2vec')}")
    borrowed = "funasr" not in sys.modules
    if borrowed and spec is not None:
        sys.modules["funasr"] = module_from_spec(spec)
    try:
        # It prints, and pydub warns, that there is no ffmpeg, which nothing here needs.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            return getattr(importlib.import_module(name), NAME)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        why = brief(" ".join(str(error).split()))
        raise InputError(f"funasr cannot be imported here ({why}): {install('emotion2vec')}") from error
    finally:
        if borrowed:
            sys.modules.pop("funasr", None)


class Emotion2vecStates(HiddenStates):
    """The layers of emotion2vec behind its convolutions and `prenet_depth` layers; the last of all is the published
    feature. Its position convolution and its norms see a padded end, so a batch holds clips of one length."""

    lora = ("qkv",)

    def __init__(self, folder: Path, last: int) -> None:
        super().__init__()
        settings = read_settings(folder / "config.yaml")
        self._normalize = settings.normalize
        self._extra = settings.modalities.audio.num_extra_tokens
        made = model_class()
        with torch.device("meta"):  # no memory is taken by what config.yaml merely claims
            self.model = made(model_conf=model_conf(settings)).eval()
        self.model.load_state_dict(_fitting(self.model, weights_file(folder)), assign=True)
        self.layers = self.model.blocks = self.model.blocks[:last]
        if last < settings.depth:
            self.model.norm = None  # it belongs behind the last layer

    def forward(self, waveform: Tensor) -> list[Tensor]:
        waveform = waveform[:, :LONGEST]
        if self._normalize:
            waveform = nn.functional.layer_norm(waveform, waveform.shape[1:])
        found: list[Tensor] = []
        encoder = self.model.modality_encoders["AUDIO"]
        hooks = [encoder.register_forward_hook(lambda module, given, output: found.append(output["x"]))]
        for layer in self.layers:
            hooks.append(layer.register_forward_hook(lambda module, given, output: found.append(output[0])))
        try:
            made = self.model.extract_features(waveform, mask=False, remove_extra_tokens=False)
        finally:
            for hook in hooks:
                hook.remove()
        found[-1] = made["x"]
        return [states[:, self._extra :] for states in found]


def _fitting(model: nn.Module, path: Path) -> dict[str, Tensor]:
    """The weights of `model` from a file, float32. Raises InputError if one is missing or has another shape."""
    given, wanted = read_weights(path), model.state_dict()
    prefix = next((start for start in PREFIXES if any(start + name in given for name in wanted)), "")
    lacking = [name for name in wanted if prefix + name not in given]
    require(not lacking, f"{path}: lacks {', '.join(lacking[:3])}; copy the folder again")
    for name, value in wanted.items():
        shapes = [*given[prefix + name].shape], [*value.shape]
        require(shapes[0] == shapes[1], f"{path}: {name} has shape {shapes[0]}, and {shapes[1]} by config.yaml")
    return {name: given[prefix + name].float().contiguous() for name in wanted}
