"""A float32 bundle as a model to train on: the weights are read back out of its ONNX files, and proved.

The exporter keeps some parameters under their names, transposes others, reorders the gates of the LSTM and folds every
batch norm into its convolution. What is read back here must give the bundle's golden logits, or nothing is returned.
"""

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crnn.cli.installed import install
from crnn.config import ModelConfig, StreamGeometry, WindowConfig, from_dict
from crnn.errors import InputError, require
from crnn.files.strict import read_bounded
from crnn.models.crnn import CRNN
from crnn.renamed_keys import with_new_keys
from crnn.training.initial_weights import EVERYONE, Start, start_of_run
from edge.bundle import MANIFEST, PRETRAINED, Bundle
from edge.bundle.golden import GOLDEN, MODEL_TOLERANCE, read, replay
from edge.export.verify import torch_recognizer
from edge.runtimes import LARGEST_FILE, RESTORED, onnx_check
from edge.stream.recognizer import StreamingRecognizer

log = logging.getLogger(__name__)

SHIPPED = "pretrained"
FLOAT32 = PRETRAINED.parent / "float32"
VADS = (0, 2, 3, 1)
"""ONNX stores an LSTM's gates as input, output, forget, cell; torch as input, forget, cell, output"""


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
    """Raises InputError, naming the bundle and what it lacks or what differs."""
    bundle = Bundle.open(path)
    manifest = bundle.manifest
    scheme = manifest.model_files(RESTORED).scheme if RESTORED in manifest.models else "none"
    require(
        scheme == "float32",
        f"{path}: training and export start from float32 {RESTORED} files, this bundle has {scheme}; make one with "
        f"quantize.py --scheme float32 --formats {RESTORED}",
    )
    for key in ("model", "window", "corpora_heard"):
        require(
            isinstance(manifest.provenance.get(key), (dict, list)),
            f"{path / MANIFEST}: provenance lacks {key}; make the bundle again with this version of quantize.py",
        )
    stated = with_new_keys(manifest.provenance)
    config = from_dict(ModelConfig, stated["model"], "provenance.model")
    window = from_dict(WindowConfig, stated["window"], "provenance.window")
    require(
        StreamGeometry.resolve(manifest.features, config, window) == manifest.geometry,
        f"{path / MANIFEST}: provenance.model and provenance.window do not give its geometry",
    )
    heard = manifest.provenance["corpora_heard"]
    require(
        isinstance(heard, list) and all(isinstance(corpus, str) for corpus in heard),
        f"{path / MANIFEST}: provenance.corpora_heard must list names; make the bundle again",
    )
    files = manifest.model_files(RESTORED)
    try:
        weights = _encoder_weights(path / files.encoder) | _head_weights(path / files.head)
    except InputError:
        raise
    except (ValueError, LookupError, TypeError, RuntimeError) as error:  # arrays of other shapes than an export has
        raise InputError(f"{path}: its files do not hold the model that {MANIFEST} describes; not a start") from error
    model = CRNN(manifest.features, config, len(manifest.labels))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # what load_state_dict raises for other names or shapes
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: its files do not hold the model that {MANIFEST} describes ({problem})") from error
    _prove(torch_recognizer(model, manifest), path)
    heard = tuple(f"{corpus}:{EVERYONE}" for corpus in heard)
    split_hash = str(manifest.provenance.get("split_hash", ""))
    return Start(
        name, manifest.labels, manifest.features, config, window, weights, heard, folded=True, split_hash=split_hash
    )


def _prove(recognizer: StreamingRecognizer, path: Path) -> None:
    """What was read back must hear the golden waveform as the exported files did."""
    golden, key = read(path / GOLDEN, recognizer.geometry), f"{RESTORED}_logits"
    require(key in golden, f"{path / GOLDEN}: has no golden {key}; not a start")
    waveform, expected = golden["waveform"], golden[key]
    made = replay(recognizer, waveform)["logits"]
    difference = float(np.abs(made - expected).max()) if made.shape == expected.shape else float("inf")
    require(
        difference <= MODEL_TOLERANCE,
        f"{path}: the weights read back give logits {difference:.2g} off the golden values; not a start",
    )


class _Graph:
    """The nodes of one ONNX file, and its constants as arrays."""

    def __init__(self, path: Path) -> None:
        try:
            import onnx  # the export extra; slow to load
            from google.protobuf.message import DecodeError
        except ImportError as error:
            raise InputError(f"--init with a bundle needs the export extra: {install('export')}") from error
        self.path = path
        data = read_bounded(path, LARGEST_FILE, follow=False)
        try:
            onnx_check.check(data)
            self.nodes = onnx.load_from_string(data).graph
        except (ValueError, DecodeError) as error:
            raise InputError(f"{path}: holds {error}; not a start") from error
        self.arrays = {item.name: onnx.numpy_helper.to_array(item) for item in self.nodes.initializer}

    def constants(self, kind: str) -> list[list[np.ndarray]]:
        """Of every node of a kind that has any, in order: the inputs that are constants."""
        found = (
            [self.arrays[name] for name in node.input if name in self.arrays]
            for node in self.nodes.node
            if node.op_type == kind
        )
        return [arrays for arrays in found if arrays]

    def named(self, name: str) -> Tensor:
        require(name in self.arrays, f"{self.path}: holds no {name}; not a file of quantize.py")
        return _tensor(self.arrays[name])


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))


def _encoder_weights(path: Path) -> dict[str, Tensor]:
    """Convolutions as they are; batch norms that only add the folded bias."""
    graph = _Graph(path)
    weights = {f"encoder.{name}": graph.named(name) for name in ("band_mean", "band_scale")}
    for number, arrays in enumerate(graph.constants("Conv")):
        require(len(arrays) == 2, f"{path}: a convolution without a folded batch norm; not a file of quantize.py")
        kernel, bias = map(_tensor, arrays)
        block = f"encoder.blocks.{number}"
        weights |= {
            f"{block}.0.weight": kernel,
            f"{block}.1.weight": torch.ones_like(bias),
            f"{block}.1.bias": bias,
            f"{block}.1.running_mean": torch.zeros_like(bias),
            f"{block}.1.running_var": torch.full_like(bias, 1 - torch.nn.BatchNorm2d(1).eps),
            f"{block}.1.num_batches_tracked": torch.tensor(0),
        }
    return weights


def _head_weights(path: Path) -> dict[str, Tensor]:
    graph = _Graph(path)
    names = ("head.attention.0.bias", "head.classifier.weight", "head.classifier.bias")
    weights = {name: graph.named(name) for name in names}
    products = graph.constants("MatMul")
    require(len(products) == 2, f"{path}: {len(products)} matrix products, expected 2; not a file of quantize.py")
    for name, (matrix,) in zip(("attention.0", "attention.2"), products, strict=True):
        weights[f"head.{name}.weight"] = _tensor(matrix.T)
    for given, recurrent, bias in graph.constants("LSTM"):
        for direction, suffix in enumerate(("", "_reverse")):
            from_input, from_state = np.split(bias[direction], 2)
            for name, array in (
                ("weight_ih", given[direction]),
                ("weight_hh", recurrent[direction]),
                ("bias_ih", from_input),
                ("bias_hh", from_state),
            ):
                quarters = np.split(array, 4)
                weights[f"head.lstm.{name}_l0{suffix}"] = _tensor(np.concatenate([quarters[g] for g in VADS]))
    return weights
