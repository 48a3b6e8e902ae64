"""Every reader of files that others may have written: its inputs, and how to call it."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.inputs import damaged, json_like, npz_like, yaml_like
from benchmarks.fuzz.model_files import onnx_like, safetensors_like
from crnn.config import from_dict
from crnn.errors import InputError
from crnn.files.settings_file import read_settings_file
from crnn.run_config import RunConfig
from crnn.training.run_folder import RunFolder
from edge.bundle import MANIFEST, PRETRAINED, Bundle
from edge.bundle.__main__ import as_text, describe
from edge.bundle.golden import GOLDEN
from edge.bundle.manifest import SPEAKERS, list_files
from edge.feedback.sidecar import as_json, parse_sidecar
from edge.feedback.store import RecordingStore, StoreLimits
from edge.runtimes import onnx_check, tflite_check
from edge.stream.profile import load_profile, load_speakers
from edge.stream.results import Verdict

SOUND = PRETRAINED.parent / "float32"
LABELS, WIDTH, IDENTITY = ("neutral", "happy", "sad"), 4, "a" * 64
NAME = "20261121T174406.250Z-0123abcd"


@dataclass(frozen=True)
class Reader:
    """Reader of one kind of file."""

    inputs: st.SearchStrategy
    read: Callable[[Path, object], None]
    """With an empty folder and an input it returns, or raises InputError; anything else is a fault"""
    cost: int = 1
    """Time of one input, about, relative to a cheap reader"""


def _manifest(folder: Path, data: bytes) -> None:
    _copy(folder)
    (folder / MANIFEST).write_bytes(data)
    bundle = Bundle.open(folder)
    as_text(describe(Bundle(folder, replace(bundle.manifest, models={}))))  # without running a model
    bundle.proved("onnx", 1)


def _copy(folder: Path) -> None:
    for path in SOUND.iterdir():
        os.link(path, folder / path.name) if _same_disk(path, folder) else shutil.copy(path, folder / path.name)
    (folder / MANIFEST).unlink()


def _same_disk(path: Path, folder: Path) -> bool:
    return path.stat().st_dev == folder.stat().st_dev


def _with_right_hash(name: str, data: bytes, folder: Path) -> Bundle:
    """A bundle whose file `name` holds `data`, with the matching hash in the manifest."""
    _copy(folder)
    (folder / name).unlink()
    (folder / name).write_bytes(data)
    values = json.loads((SOUND / MANIFEST).read_text())
    values["files"] = list_files(folder)
    (folder / MANIFEST).write_text(json.dumps(values))
    return Bundle.open(folder)


def _golden(folder: Path, data: bytes) -> None:
    _with_right_hash(GOLDEN, data, folder).proved("onnx", 1)


def _speakers(folder: Path, data: bytes) -> None:
    (folder / SPEAKERS).write_bytes(data)
    manifest = Bundle.open(SOUND).manifest
    width = len(_arrays(SPEAKERS)["center"])
    load_speakers(folder / SPEAKERS, width, len(manifest.labels))


def _weights(folder: Path, data: bytes) -> None:
    """Weights whose hash is the one beside them, as training and another export start from them."""
    _with_weights(folder, (SOUND / MANIFEST).read_bytes(), data)


def _weights_facts(folder: Path, data: bytes) -> None:
    from edge.bundle.weights_file import FACTS, WEIGHTS
    from edge.export.weights import read_weights

    shutil.copy(SOUND / WEIGHTS, folder)
    (folder / FACTS).write_bytes(data)
    read_weights(folder, Bundle.open(SOUND).manifest)


def _provenance(folder: Path, data: bytes) -> None:
    """A manifest that describes another model than the weights hold."""
    from edge.bundle.weights_file import WEIGHTS

    values = json.loads((SOUND / MANIFEST).read_text())
    try:
        values["provenance"] = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError("no JSON: the reader of manifests is tried with that") from error
    _with_weights(folder, json.dumps(values).encode(), (SOUND / WEIGHTS).read_bytes())


def _with_weights(folder: Path, manifest: bytes, data: bytes) -> None:
    from edge.bundle.weights_file import FACTS, WEIGHTS
    from edge.export.weights import start_of_bundle

    _copy(folder)
    (folder / MANIFEST).write_bytes(manifest)
    for name in (WEIGHTS, FACTS):
        (folder / name).unlink()
    (folder / WEIGHTS).write_bytes(data)
    facts = json.loads((SOUND / FACTS).read_text()) | {"sha256": hashlib.sha256(data).hexdigest()}
    (folder / FACTS).write_text(json.dumps(facts))
    start = start_of_bundle(folder, "fuzz")
    assert all(value.isfinite().all() for value in start.weights.values()), "a weight is NaN or infinite"


def _model(runtime: str, part: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, data: bytes) -> None:
        _with_right_hash(_file(runtime, part), data, folder).recognizer(runtime)

    return read


def _structure(checks: ModuleType) -> Callable[[Path, bytes], None]:
    """The checks that run before a runtime opens the file, and the types of its constants, without the runtime."""

    def read(folder: Path, data: bytes) -> None:
        try:
            checks.check(data)
            checks.constants(data)
        except ValueError as error:  # checks raise it; the loaders turn it into one line
            raise InputError(f"{folder}: {error}") from error

    return read


def _profile(folder: Path, data: bytes) -> None:
    (folder / "me.json").write_bytes(data)
    profile = load_profile(folder / "me.json", IDENTITY, LABELS, WIDTH)
    adapted = profile.adapt(np.ones(len(LABELS), np.float32), np.ones(WIDTH, np.float32))
    assert np.isfinite(adapted).all(), "a profile gives NaN or infinity"


def _sidecar(folder: Path, data: bytes) -> None:
    made = parse_sidecar(data, NAME)
    assert parse_sidecar(as_json(made, NAME), NAME) == made, "a sidecar changes when it is written again"


def _recordings(folder: Path, names: list[tuple[bytes, int]]) -> None:
    """File names in a folder of stored recordings: nothing may raise, and files of others must stay."""
    folder.chmod(0o700)
    for name, kind in names:
        path = os.path.join(os.fsencode(folder), name)  # noqa: PTH118 - bytes
        try:
            if kind == 0:
                os.mkdir(path)  # noqa: PTH102
            elif kind == 1:
                os.symlink("/etc/passwd", path)  # noqa: PTH211
            elif kind == 2:
                os.mkfifo(path)
            else:
                with open(path, "xb") as file:  # noqa: PTH123
                    file.write(b"{}" * kind)
        except (OSError, ValueError):  # the name is impossible or exists
            continue
    store = RecordingStore(folder)
    _, foreign = store.scan()
    store.tidy(StoreLimits())
    store.corrected()
    store.clear_unfinished()
    assert set(foreign) <= set(os.listdir(folder)), "a file of somebody else was deleted"  # noqa: PTH208


def _run_config(folder: Path, data: bytes) -> None:
    (folder / "config.json").write_bytes(data)
    config, _, _ = RunFolder(folder).read_config()
    config.geometry  # noqa: B018 - the first value that the tools read


def _run_split(folder: Path, data: bytes) -> None:
    (folder / "split.json").write_bytes(data)
    run = RunFolder(folder)
    run.trained_on(), run.labels(), run.split_hash()


def _settings(folder: Path, data: bytes) -> None:
    from crnn.files.strict import parse_json

    from_dict(RunConfig, parse_json(data, "settings"), "settings").geometry  # noqa: B018


def _yaml(folder: Path, data: bytes) -> None:
    (folder / "settings.yaml").write_bytes(data)
    read_settings_file(folder / "settings.yaml")


def _arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(SOUND / name, allow_pickle=False) as file:
        return dict(file)


def _file(runtime: str, part: str) -> str:
    return getattr(Bundle.open(SOUND).manifest.model_files(runtime), part)


def _sidecar_values() -> dict:
    probs = {"happy": 0.4, "sad": 0.35, "neutral": 0.25}
    values = {"schema": 1, "when": NAME.split("-")[0], "bundle": IDENTITY, "seconds": 2.5, "probs": probs}
    return values | {"emotion": None, "verdict": Verdict.UNCERTAIN}


def _profile_values() -> dict:
    weights = [[0.5, -0.25, 0.0]] * WIDTH
    values = {"schema": 1, "bundle": IDENTITY, "labels": list(LABELS), "sentences": {"neutral": 3}}
    return values | {"weights": weights, "bias": [0.0, -1.5, 0.25]}


def _split_values() -> dict:
    return {
        "split_hash": "0123456789ab",
        "labels": list(LABELS),
        "heard": {"train": ["ravdess:1"], "dev": ["ravdess:2"]},
    }


def readers() -> dict[str, Reader]:
    """By name. Reads the bundle that the inputs are made from."""
    manifest = json.loads((SOUND / MANIFEST).read_text())
    run = {"schema": 2, "run": asdict(RunConfig()), "data": {"ravdess": "/data"}, "augment": {}}
    names = st.one_of(
        st.binary(min_size=1, max_size=40),
        st.sampled_from([f"{NAME}{end}".encode() for end in (".wav", ".json", ".txt", ".wav.part")]),
        st.sampled_from([
            "20261301T174406.250Z-0123abcd.wav", "٢٠٢٦١١٢١T174406.250Z-0123abcd.json", ".lock", "corrected",
            f".{NAME}.wav.part", "00000000T000000.000Z-00000000.wav", "99991231T235959.999Z-ffffffff.json",
        ]).map(str.encode),
    )  # fmt: skip
    onnx = (SOUND / _file("onnx", "head")).read_bytes()
    tflite = (SOUND / _file("tflite", "head")).read_bytes()
    return {
        "manifest": Reader(json_like(manifest), _manifest, 4),
        "golden": Reader(npz_like(_arrays(GOLDEN)), _golden, 4),
        "speakers": Reader(npz_like(_arrays(SPEAKERS)), _speakers),
        "onnx": Reader(onnx_like(onnx), _model("onnx", "head"), 60),
        "tflite": Reader(damaged(tflite), _model("tflite", "head"), 60),
        "onnx structure": Reader(onnx_like(onnx), _structure(onnx_check), 2),
        "tflite structure": Reader(damaged(tflite), _structure(tflite_check)),
        "weights": Reader(safetensors_like((SOUND / "weights.safetensors").read_bytes()), _weights, 8),
        "weights facts": Reader(json_like(json.loads((SOUND / "weights.json").read_text())), _weights_facts),
        "weights provenance": Reader(json_like(manifest["provenance"]), _provenance, 8),
        "profile": Reader(json_like(_profile_values()), _profile),
        "sidecar": Reader(json_like(_sidecar_values()), _sidecar),
        "stored recordings": Reader(st.lists(st.tuples(names, st.integers(0, 5)), max_size=6), _recordings),
        "run config": Reader(json_like(run), _run_config),
        "run split": Reader(json_like(_split_values()), _run_split),
        "yaml": Reader(yaml_like(asdict(RunConfig())), _yaml),
        "settings": Reader(json_like(asdict(RunConfig())), _settings),
    }
