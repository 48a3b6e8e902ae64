"""The manifest of a bundle: what it accepts up to its limits, what it refuses beyond them, and which file it names."""

import hashlib
import json
import re
from dataclasses import asdict, replace

import pytest
from helpers import edit_json
from small_stream import FEATURES, GEOMETRY, LABELS

from crnn.config import StreamGeometry
from crnn.errors import InputError
from crnn.renamed_keys import with_schema_4_keys
from edge.bundle import Manifest
from edge.bundle.manifest import ModelFiles, list_files, read_manifest
from edge.stream.decision import DecisionConfig
from edge.stream.window_recognizer import window_geometry

FILES = {"encoder.onnx": b"encoder", "golden.npz": b"golden", "head.onnx": b"head", "speakers.npz": b"speakers"}
MANIFEST = Manifest(
    4, LABELS, FEATURES, GEOMETRY, DecisionConfig(1.5, 0.4),
    {"onnx": asdict(ModelFiles("float32", "encoder.onnx", "head.onnx"))},
    {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in FILES.items()},
    {"corpus": "nobody"},
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A bundle as far as the manifest goes: nothing loads the model files."""
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "bundle.json").write_text(json.dumps(with_schema_4_keys(asdict(MANIFEST))))
    return tmp_path


def refusal(folder) -> str:
    with pytest.raises(InputError) as caught:
        read_manifest(folder)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_it_is_read_as_it_was_written(folder):
    made = read_manifest(folder)
    assert made == MANIFEST
    assert made.model_files("onnx") == ModelFiles("float32", "encoder.onnx", "head.onnx")
    with pytest.raises(InputError, match="tflite.* onnx"):
        made.model_files("tflite")
    edit_json(folder / "bundle.json", lambda v: v.pop("provenance"))
    assert read_manifest(folder).provenance == {}


def test_the_entries_of_files_are_made_from_their_bytes_in_order_of_their_names(folder):
    (folder / "bundle.json").unlink()
    assert list_files(folder) == MANIFEST.files
    assert list(list_files(folder)) == sorted(FILES)
    (folder / "link").symlink_to(folder / "head.onnx")
    with pytest.raises(InputError, match="link: is a link"):
        list_files(folder)


def test_the_identity_is_a_hash_of_names_and_hashes_in_any_order():
    """Profiles and stored recordings of the version before hold it: it may never change."""
    text = "\n".join(f"{name} {hashlib.sha256(FILES[name]).hexdigest()}" for name in sorted(FILES))
    assert MANIFEST.identity == hashlib.sha256(text.encode()).hexdigest()
    turned = dict(reversed(MANIFEST.files.items()))
    assert replace(MANIFEST, files=turned, labels=("a", "b")).identity == MANIFEST.identity
    renamed = {name.replace("head", "Head"): facts for name, facts in MANIFEST.files.items()}
    assert replace(MANIFEST, files=renamed).identity != MANIFEST.identity


def add_files(values: dict, n: int, folder) -> None:
    for name in (f"more{k}" for k in range(n)):
        (folder / name).write_bytes(b"x")
        values["files"][name] = {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1}


def labels(*names: str):
    return lambda v, folder: v.update(labels=list(names))


def runtimes(n: int):
    return lambda v, folder: v.update(models={f"r{k}": v["models"]["onnx"] for k in range(n)})


def lead(frames: int):
    return lambda v, folder: v["geometry"].update(lead_frames=frames)


@pytest.mark.parametrize(
    "change",
    [
        labels("a", "b"),
        labels(*(f"l{n}" for n in range(100))),
        labels("a", "x" * 40),
        labels("very sad", "très gai"),
        runtimes(20),
        lambda v, folder: v.update(models={"R_1.+-x": v["models"]["onnx"]}),
        lead(GEOMETRY.first_samples // GEOMETRY.hop_length - 1),
        lambda v, folder: add_files(v, 46, folder),
    ],
)
def test_what_reaches_a_limit_is_read(folder, change):
    edit_json(folder / "bundle.json", lambda v: change(v, folder))
    read_manifest(folder)


FIT = "geometry .*features"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (labels("a"), "1 labels.* 2 to 100 "),
        (labels(*(f"l{n}" for n in range(101))), "101 labels.* 2 to 100 "),
        (labels("a", "b", "a"), "label .*twice"),
        (labels("a", "x" * 41), f"'{'x' * 41}' .*emotion.* 40 "),
        (labels("", "a"), "'' .*emotion"),
        (labels("a", " b"), "' b' .*emotion"),
        (labels("a", "b "), "'b ' .*emotion"),
        (labels("a\nb", "c"), r"'a\\nb' .*emotion"),
        (labels("a", "uncertain"), "'uncertain' .*emotion"),
        (runtimes(0), " 0 runtimes.* 1 to 20 "),
        (runtimes(21), " 21 runtimes.* 1 to 20 "),
        (lambda v, f: v["models"].update({"a/b": v["models"]["onnx"]}), "models: 'a/b' .*runtime"),
        (lead(GEOMETRY.first_samples // GEOMETRY.hop_length), FIT),
        (lambda v, f: v["features"].update(n_fft=401), FIT),
        (lambda v, f: v["features"].update(hop_length=99), FIT),
        (lambda v, f: add_files(v, 47, f), "51 files.* 50 "),
        (lambda v, f: v["files"].pop("encoder.onnx"), "models.onnx.encoder is .encoder.onnx., .*hash"),
        (lambda v, f: v["files"].pop("head.onnx"), "models.onnx.head is .head.onnx., .*hash"),
        (lambda v, f: v["files"].pop("golden.npz"), "no golden.npz"),
        (lambda v, f: v["files"].pop("speakers.npz"), "no speakers.npz"),
        (lambda v, f: v["files"].update({"../a": {}}), r"'\.\./a' .*out of the bundle"),
        (lambda v, f: v["files"].update({"a b": {}}), "'a b' .*file name"),
        (lambda v, f: v["files"].update({"a" * 101: {}}), f"'{'a' * 101}' .*file name"),
        (lambda v, f: v["models"]["onnx"].pop("head"), "models.onnx lacks head"),
        (lambda v, f: v["files"]["head.onnx"].pop("bytes"), "files.head.onnx lacks bytes"),
        (lambda v, f: v["decision"].update(temperature=0), "bundle.json: decision.temperature is 0.0; "),
        (lambda v, f: v["features"].update(n_mels=0), "bundle.json: features.n_mels is 0; give 1 to 512"),
        (lambda v, f: v["geometry"].update(hop_steps=0), "bundle.json: geometry.interval_steps is 0; give 1 to "),
        (lambda v, f: v["decision"].update(temprature=1), "bundle.json.decision.temprature.* temperature"),
        (
            lambda v, f: v["geometry"].update(hop_steps=3, interval_steps=3),
            "bundle.json: geometry.interval_steps ",
        ),
    ],
)
def test_what_goes_beyond_a_limit_is_refused_with_the_value(folder, change, part):
    edit_json(folder / "bundle.json", lambda v: change(v, folder))
    found = refusal(folder)
    assert re.search(part, found), found
    assert found.startswith(f"{folder / 'bundle.json'}: ") or "unknown key " in found


@pytest.mark.parametrize(
    ("schema", "advice"),
    [(8, "update this software"), (3, "the bundle again"), (4.0, "the bundle again"),
     ("5", "the bundle again"), (None, "the bundle again"), (True, "the bundle again")],
)  # fmt: skip
def test_another_schema_says_which_side_is_too_old(folder, schema, advice):
    edit_json(folder / "bundle.json", lambda v: v.update(schema=schema))
    found = refusal(folder)
    assert found.startswith(f"{folder / 'bundle.json'}: schema {schema!r}")
    assert re.search(f" 4\\W.*{advice}", found)


@pytest.mark.parametrize(("schema", "arousal", "read"), [(4, None, True), (4, False, True), (5, True, True),
    (4, True, False), (5, False, False), (5, None, False)])  # fmt: skip
def test_arousal_is_what_schema_5_has_and_schema_4_has_not(folder, schema, arousal, read):
    def change(values: dict) -> None:
        del values["arousal"]
        values.update({"schema": schema} | ({} if arousal is None else {"arousal": arousal}))

    edit_json(folder / "bundle.json", change)
    if read:
        assert read_manifest(folder).arousal is bool(arousal)
    else:
        assert f"schema {schema}" in refusal(folder)


def test_a_folder_without_a_manifest_is_named(tmp_path):
    where = tmp_path / "bundle.json"
    assert refusal(tmp_path).startswith(f"{where}: no such file")
    where.mkdir()
    assert "no such file" in refusal(tmp_path)


def test_a_manifest_has_at_most_a_mebibyte(folder):
    text = (folder / "bundle.json").read_text()
    (folder / "bundle.json").write_text(text.ljust(2**20))
    read_manifest(folder)
    (folder / "bundle.json").write_text(text.ljust(2**20 + 1))
    assert "1048576 bytes" in refusal(folder)


def test_a_missing_a_changed_and_a_longer_file_are_distinguished_by_name(folder):
    head = folder / "head.onnx"
    head.unlink()
    assert refusal(folder).startswith(f"{head}: missing")
    head.mkdir()
    assert refusal(folder).startswith(f"{head}: missing")
    head.rmdir()
    head.write_bytes(b"hEad")
    assert refusal(folder).startswith(f"{head}: its hash")
    head.write_bytes(FILES["head.onnx"])
    for size in (0, 5, 64 * 2**20):
        edit_json(folder / "bundle.json", lambda v, n=size: v["files"]["head.onnx"].update(bytes=n))
        assert refusal(folder).startswith(f"{head}: its size")


@pytest.mark.parametrize("where", ["on the disk", "in the manifest", "below 0"])
def test_a_file_of_more_than_64_mib_is_refused_before_it_is_read(folder, where):
    head, most = folder / "head.onnx", 64 * 2**20
    if where == "on the disk":
        with head.open("r+b") as file:
            file.truncate(most)
        assert "its hash" in refusal(folder), "of just this size it is read"
        with head.open("r+b") as file:
            file.truncate(most + 1)
    else:
        size = most + 1 if where == "in the manifest" else -1
        edit_json(folder / "bundle.json", lambda v: v["files"]["head.onnx"].update(bytes=size))
    assert re.match(f"{head}: .*64 MiB", refusal(folder))


@pytest.mark.parametrize("name", ["bundle.json", "head.onnx"])
def test_a_link_is_refused_even_to_the_same_bytes(folder, tmp_path_factory, name):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "file"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    assert refusal(folder).startswith(f"{folder / name}: is a link")
    elsewhere.unlink()
    assert str(folder / name) in refusal(folder)


WINDOW = window_geometry(FEATURES, 0.3, 0.1)


def of_windows(values: dict) -> None:
    values.update(schema=6, kind="window", geometry=asdict(WINDOW))


def test_a_bundle_that_recomputes_its_windows_has_a_schema_of_its_own(folder):
    edit_json(folder / "bundle.json", of_windows)
    made = read_manifest(folder)
    assert (made.kind, made.geometry, made.arousal) == ("window", WINDOW, False)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"kind": "stream"}, "schema 6 .*'stream'"),
        ({"kind": "other"}, "schema 6 .*'other'"),
        ({"schema": 4}, "schema 4 .*'window'"),
        ({"schema": 5}, "schema 5 .*arousal"),
        ({"schema": 8}, "schema 8.* 4 to 7.*update"),
        ({"arousal": True}, "schema 6 .*arousal"),
        ({"geometry": asdict(GEOMETRY)}, FIT),
        ({"geometry": asdict(WINDOW) | {"lead_frames": 1}}, FIT),
        ({"geometry": asdict(WINDOW) | {"stride_frames": 4}}, FIT),
        ({"geometry": asdict(WINDOW) | {"n_fft": 400}}, FIT),
        ({"geometry": asdict(WINDOW) | {"interval_steps": 2}}, FIT),
        ({"geometry": asdict(StreamGeometry(100, 100, 1, 1, 1, 4))}, FIT),
    ],
)
def test_what_does_not_belong_to_that_schema_is_refused(folder, change, part):
    edit_json(folder / "bundle.json", lambda v: (of_windows(v), v.update(change)))
    assert re.search(part, refusal(folder))
