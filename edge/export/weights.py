"""The trained weights beside a float32 bundle as tensors: training (`--init`) and another export start from them.

They hold every parameter and every batch norm statistic of the model (`edge.bundle.weights_file`).
"""

import logging
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from crnn.config import ModelConfig, StreamGeometry, WindowConfig, from_dict
from crnn.data.utterances import EVERYONE
from crnn.errors import InputError, require
from crnn.models.crnn import CRNN
from crnn.renamed_keys import with_new_keys
from crnn.training.initial_weights import Start, start_of_run
from crnn.training.run_folder import read_taught_by
from edge.bundle import MANIFEST, PRETRAINED, WINDOW, Bundle, Manifest
from edge.bundle.golden import GOLDEN, MODEL_TOLERANCE, read, replay
from edge.bundle.weights_file import WEIGHTS, read_weights_file, write_weights_file
from edge.export.verify import torch_recognizer
from edge.stream.recognizer import StreamingRecognizer

log = logging.getLogger(__name__)

SHIPPED = "pretrained"
FLOAT32 = PRETRAINED.parent / "float32"


def write_weights(folder: Path, manifest: Manifest, model: CRNN) -> None:
    """Write the weights of `model` beside the sealed bundle in `folder`."""
    data = save({name: value.contiguous() for name, value in model.state_dict().items()})
    write_weights_file(folder, manifest, data)


def read_weights(folder: Path, manifest: Manifest) -> dict[str, Tensor]:
    """The weights beside a bundle, their hash checked; nothing is unpickled. Raises InputError that names the file."""
    data = read_weights_file(folder, manifest)
    try:
        return load(data)
    except (SafetensorError, LookupError) as error:  # LookupError: a type of numbers that torch lacks
        raise InputError(f"{folder / WEIGHTS}: not a safetensors file ({error}); copy it again") from error


def open_start(init: str) -> Start:
    """What `--init` names: "pretrained" (the float32 bundle that ships), a bundle, or a run folder.

    Raises InputError if it is none of them or cannot be started from.
    """
    if init == SHIPPED:
        log.warning("--init pretrained: its weights are under CC BY-NC-SA 4.0, and so is what is trained from them")
    path = FLOAT32 if init == SHIPPED else Path(init)
    require(path.is_dir(), f"--init {init}: no such folder; give a run of train.py, a float32 bundle, or {SHIPPED}")
    return start_of_bundle(path, init) if (path / MANIFEST).is_file() else start_of_run(path)


def start_of_bundle(path: Path, name: str) -> Start:
    """The model of a float32 bundle; `name` is what the user called it.

    Raises InputError that names the bundle and what it lacks, or how its weights differ from its golden values.
    """
    manifest = Bundle.open(path).manifest
    require(
        manifest.kind != WINDOW,
        f"{path}: a larger bundle, made of a speech encoder that is not trained here; nothing can start from it",
    )
    origin = manifest.provenance
    require(
        "system" not in origin, f"{path}: its model is no crnn; only a crnn gives its weights, start from a run folder"
    )
    weights = read_weights(path, manifest)
    for key in ("model", "window", "corpora_heard"):
        require(
            isinstance(origin.get(key), (dict, list)),
            f"{path / MANIFEST}: provenance lacks {key}; make the bundle again with this version of quantize.py",
        )
    settings = with_new_keys(origin)
    config = from_dict(ModelConfig, settings["model"], "provenance.model")
    window = from_dict(WindowConfig, settings["window"], "provenance.window")
    require(
        StreamGeometry.resolve(manifest.features, config, window) == manifest.geometry,
        f"{path / MANIFEST}: provenance.model and provenance.window do not give its geometry",
    )
    require(
        config.arousal == manifest.arousal,
        f"{path / MANIFEST}: arousal is {manifest.arousal}, in provenance.model {config.arousal}; copy it again",
    )
    corpora = origin["corpora_heard"]
    require(
        isinstance(corpora, list) and all(isinstance(corpus, str) for corpus in corpora),
        f"{path / MANIFEST}: provenance.corpora_heard must list names; make the bundle again",
    )
    model = CRNN(manifest.features, config, len(manifest.labels))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # what load_state_dict raises for other names or shapes
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"{path / WEIGHTS}: does not hold the model that {MANIFEST} describes ({problem})") from error
    _check_golden(torch_recognizer(model, manifest), path)
    speakers = tuple(f"{corpus}:{EVERYONE}" for corpus in corpora)
    split_hash = str(origin.get("split_hash", ""))
    taught_by = read_taught_by(origin, path / MANIFEST)
    return Start(
        name, manifest.labels, manifest.features, config, window, model.state_dict(), speakers, split_hash, taught_by
    )


def _check_golden(recognizer: StreamingRecognizer, path: Path) -> None:
    """The weights must give the logits that the bundle's files were held against."""
    golden = read(path / GOLDEN, recognizer.geometry)
    require("float32_logits" in golden, f"{path / GOLDEN}: has no golden float32_logits; make the bundle again")
    expected = golden["float32_logits"]
    made = replay(recognizer, golden["waveform"])["logits"]
    difference = float(np.abs(made - expected).max()) if made.shape == expected.shape else float("inf")
    require(
        difference <= MODEL_TOLERANCE,
        f"{path / WEIGHTS}: gives logits {difference:.2g} off the golden values; copy the whole folder again",
    )
