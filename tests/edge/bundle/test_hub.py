"""Bundles by name: saved as a folder, published on a hub, fetched through the real huggingface_hub, and refused.

The hub is a server on 127.0.0.1 (`fake_hub`).
"""

import errno
import json
import logging
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from fake_hub import FakeHub, serving
from helpers import ROOT, edit_json, needs, one_clear_line, script

from crnn.errors import InputError
from edge import EmotionModel, open_model
from edge.bundle import PRETRAINED, Bundle
from edge.bundle.find import find_bundle
from edge.bundle.hub import LOCK
from edge.bundle.weights_file import read_weights_file

needs("huggingface_hub", reason="needs the extra hub")
CLIP = ROOT / "edge" / "pretrained" / "synthetic_voice.flac"
FLOAT32 = PRETRAINED.parent / "float32"
NAME = "somebody/voices"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Where bundles are stored, and huggingface_hub's own folder: empty, and nobody's token."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for constant, place in (("HF_HUB_CACHE", "hf/hub"), ("HF_TOKEN_PATH", "hf/token")):
        monkeypatch.setattr(f"huggingface_hub.constants.{constant}", str(tmp_path / place))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)  # as edge sets it, if first
    return tmp_path / "data" / "ser" / "hub"


@pytest.fixture
def hub(home, monkeypatch):
    with serving() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)  # read from HF_ENDPOINT at its import
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub


@pytest.fixture
def folder(tmp_path):
    """What somebody publishes: the float32 bundle that ships, and more than a bundle needs."""
    EmotionModel.from_pretrained(FLOAT32).save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "training.log").write_text("not for a device")
    return tmp_path / "saved"


def refused(hub: FakeHub, *arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        find_bundle(*arguments, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_what_is_saved_is_loaded_from_the_folder_and_answers_alike(tmp_path, folder):
    """ONNX, TFLite and safetensors side by side."""
    expected = open_model(FLOAT32).recognize(CLIP)
    made = EmotionModel.from_pretrained(folder).recognize(CLIP)
    assert made == expected
    assert {path.suffix for path in folder.iterdir()} >= {".onnx", ".tflite", ".safetensors", ".json"}
    data = read_weights_file(folder, Bundle.open(folder).manifest)
    assert data == (FLOAT32 / "weights.safetensors").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        open_model(FLOAT32).save_pretrained(folder)


def test_weights_that_were_changed_are_not_saved(tmp_path):
    shutil.copytree(FLOAT32, tmp_path / "float32")
    with (tmp_path / "float32" / "weights.safetensors").open("r+b") as file:
        file.write(b"\1")
    with pytest.raises(InputError, match=r"weights\.safetensors: its hash"):
        open_model(tmp_path / "float32").save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_a_model_of_the_hub_answers_as_the_folder_that_was_published(hub, home, folder):
    commit = hub.commit(NAME, folder)
    model = EmotionModel.from_pretrained(NAME)
    assert model.recognize(CLIP) == open_model(folder).recognize(CLIP)
    assert model.bundle.path == home / NAME / commit
    listed = {"bundle.json", *model.bundle.manifest.files}
    assert sorted(hub.fetched()) == sorted(listed)
    assert {path.name for path in model.bundle.path.iterdir()} == listed
    assert not any(path.is_symlink() for path in model.bundle.path.iterdir())


def test_a_revision_is_a_branch_or_a_commit_and_a_commit_that_is_there_asks_nobody(hub, home, folder, tmp_path):
    first = hub.commit(NAME, folder)
    other = tmp_path / "other"
    shutil.copytree(FLOAT32, other)
    edit_json(other / "bundle.json", lambda v: v["provenance"].update(seed=7))
    second = hub.commit(NAME, other)
    third = hub.commit(NAME, other, branch="refs/pr/1")
    assert find_bundle(NAME) == find_bundle(f"{NAME}@main") == find_bundle(NAME, "main") == home / NAME / second
    assert find_bundle(f"{NAME}@{first}") == home / NAME / first
    assert second == third and find_bundle(NAME, "refs/pr/1") == home / NAME / third
    del hub.asked[:]
    assert find_bundle(NAME, first) == home / NAME / first
    assert hub.asked == []


def test_what_was_fetched_once_is_used_without_a_network_and_a_warning_says_which(hub, home, folder, caplog):
    commit = hub.commit(NAME, folder)
    find_bundle(NAME)
    for broken in ("error 500", "login page"):
        hub.broken = broken
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert find_bundle(NAME) == home / NAME / commit
        assert commit in caplog.text
        assert NAME in refused(hub, NAME, "another-branch")
    hub.broken = ""
    hub.branches.pop(NAME)  # withdrawn: known, and not for use
    assert NAME in refused(hub, NAME)


def test_a_branch_may_have_any_name_that_git_allows(hub, home, folder):
    commit = hub.commit(NAME, folder, branch="lock")
    for branch in ("fetch", "v1+cu", "%2F", "a" * 190):
        hub.branches[NAME][branch] = commit
    names = ["lock", *hub.branches[NAME]]
    assert {find_bundle(NAME, branch) for branch in names} == {home / NAME / commit}
    hub.broken = "error 500"
    assert {find_bundle(NAME, branch) for branch in names} == {home / NAME / commit}
    assert "give its commit" in refused(hub, NAME, "a/" * 99)
    for text in ("", "a\nb"):
        assert repr(text) in refused(hub, NAME, text)


def test_a_full_disk_is_not_called_a_lost_network(hub, home, folder, monkeypatch):
    hub.commit(NAME, folder)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("huggingface_hub.hf_hub_download", full)
        message = refused(hub, NAME)
    assert "No space left" in message and str(home / NAME) in message
    (home.parent / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(home.parent / "file"))
    assert "Not a directory" in refused(hub, NAME)
    assert {path.name for path in home.rglob("*") if path.is_file()} == {LOCK, ".main"}


def test_what_the_hub_does_not_have_is_named(hub, home, folder, tmp_path):
    hub.commit(NAME, folder)
    assert "somebody/nothing" in refused(hub, "somebody/nothing")
    assert not (home / "somebody" / "nothing").exists()
    assert "no revision v9" in refused(hub, f"{NAME}@v9")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "model.bin").write_bytes(b"pickle")
    hub.commit("somebody/text", tmp_path / "text")
    assert "bundle.json" in refused(hub, "somebody/text")
    hub.gated.add(NAME)
    assert "on request" in refused(hub, NAME)
    assert hub.fetched() == []
    assert [path for path in home.rglob("*") if path.is_file() and path.name not in (LOCK, ".main")] == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: (folder / "head.float32.onnx").unlink(), "head.float32.onnx"),
        (lambda folder: (folder / "head.float32.onnx").write_bytes(bytes(10**6)), "head.float32.onnx: 1000000 bytes"),
        (lambda folder: _flip(folder / "head.float32.onnx"), "head.float32.onnx: its hash"),
        (lambda folder: _list(folder, "../../.bashrc"), ".bashrc"),
        (lambda folder: _list(folder, "a/b.onnx"), "a/b.onnx"),
        (lambda folder: _list(folder, "*"), r"*"),
        (lambda folder: _list(folder, "huge.onnx", 2**40), "larger than 64 MiB"),
        (lambda folder: (folder / "bundle.json").write_text("[" * 10**5), "bundle.json"),
        (lambda folder: (folder / "bundle.json").write_text("{}"), "lists no files"),
        (lambda folder: (folder / "bundle.json").write_bytes(b" " * 2**21), "2097152 bytes"),
    ],
)
def test_a_hostile_repository_leaves_nothing_and_is_named_in_one_line(hub, home, folder, change, named):
    change(folder)
    hub.commit(NAME, folder)
    message = refused(hub, NAME)
    assert named in message and NAME in message and str(home) not in message
    assert {path.name for path in home.rglob("*") if path.is_file()} <= {LOCK, ".main"}
    assert {path for path in home.rglob("*") if path.is_dir()} <= {home / "somebody", home / NAME}
    assert not {"training.log", "weights.safetensors"} & set(hub.fetched())


def _flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _list(folder, name: str, size: int = 3) -> None:
    edit_json(folder / "bundle.json", lambda v: v["files"].update({name: {"sha256": "0" * 64, "bytes": size}}))


@pytest.mark.parametrize("name", ["nobody", "a/b/c", "../a", "/no/such", "./a/b", "a/..", "a b/c", "é/c", "a/b@", ""])
def test_a_name_that_is_none_asks_nobody(hub, name, monkeypatch):
    monkeypatch.chdir(ROOT / "tests")
    if name == "":
        name = "\n"
    refused(hub, name)
    assert hub.asked == []


def no_home():
    raise RuntimeError("Could not determine home directory.")


def test_a_folder_of_the_same_name_is_not_passed_over_without_a_word(tmp_path, monkeypatch, hub):
    """`save_pretrained("small")`, then `from_pretrained("small")`, gave the model that ships."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    assert find_bundle("small") == PRETRAINED, "an empty folder is no bundle"
    for name in ("small", "large"):
        shutil.copytree(PRETRAINED, tmp_path / name, dirs_exist_ok=True)
    for name in ("small", "large"):
        assert f"give ./{name} for this one" in refused(hub, name)
        assert find_bundle(f"./{name}") == Path(name)
    monkeypatch.chdir(PRETRAINED.parent)
    assert find_bundle("large").samefile("large"), "the same bundle"


def test_names_of_bundles_here_ask_nobody(hub, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    assert find_bundle("small") == PRETRAINED
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert find_bundle("large") == PRETRAINED.with_name("large")
    with monkeypatch.context() as patch:
        patch.delenv("XDG_DATA_HOME")
        patch.setattr(Path, "home", no_home)
        assert find_bundle("large") == PRETRAINED.with_name("large")
    os.renames(folder, tmp_path / "some" / "body")
    assert find_bundle("some/body").resolve() == tmp_path / "some" / "body"
    assert "leave the revision out" in refused(hub, "some/body", "main")
    assert "leave the revision out" in refused(hub, "small", "main")
    assert "one of them" in refused(hub, "a/b@main", "v1")
    assert hub.asked == []


def test_the_commands_take_the_name_from_the_environments_hub(hub, home, folder, tmp_path):
    commit = hub.commit(NAME, folder)
    env = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    result = script("stream_infer.py", "--model", NAME, CLIP, "--json", env=env, fresh=True)
    assert result.returncode == 0 and commit in result.stderr
    assert all(path.startswith(f"/{NAME}/resolve/") for _, path in hub.asked)  # no telemetry
    assert not any(word in agent for agent in hub.agents for word in ("torch", "agent/"))
    plain = script("stream_infer.py", folder, CLIP, "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        json.loads(line) for line in plain.stdout.splitlines()
    ]
    with socket.socket() as taken:  # bound and silent: nobody answers there
        taken.bind(("127.0.0.1", 0))
        env["HF_ENDPOINT"] = f"http://127.0.0.1:{taken.getsockname()[1]}"
        other = script("stream_infer.py", "--model", "somebody/else", CLIP, env=env, fresh=True)
        one_clear_line(other, "somebody/else", env["HF_ENDPOINT"])
        again = script("stream_infer.py", "--model", NAME, CLIP, "--json", env=env, fresh=True)
    assert again.stdout == result.stdout and commit in again.stderr


def test_a_model_is_named_once(hub):
    beside = script("stream_infer.py", PRETRAINED, CLIP, "--model", NAME)
    one_clear_line(beside, "--model")
    missing = script("stream_infer.py", "--model", NAME, "no-such.wav")
    one_clear_line(missing, "no-such.wav")
    assert hub.asked == []


def test_the_bundle_command_fetches_and_saves(hub, home, folder, tmp_path, capsys):
    from edge.bundle.__main__ import main

    hub.commit(NAME, folder)
    assert main(["--model", NAME, "--save", str(tmp_path / "here"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == list(open_model(FLOAT32).labels)
    values = open_model(tmp_path / "here").recognize(np.zeros(16000, np.float32), 16000)
    assert values.verdict is not None
    assert main([str(FLOAT32), "--model", NAME]) == 2
