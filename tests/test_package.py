"""The package as pip installs it: built as it stands, installed outside the checkout, used from another folder."""

import email
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT

from crnn.cli.installed import PROGRAMS

SOURCES = (
    *("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "configs", "crnn", "augment", "edge"),
    *("train.py", "quantize.py", "stream_infer.py"),
)
COMMANDS = ("ser-train", "ser-quantize", "ser-stream", "ser-doctor", "ser-enroll", "ser-page", "ser-serve")
OFFLINE = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
BARE = ("jsonargparse", "torch", "lightning", "filelock", "audiomentations", "rich", "gradio", "pyaudio", "tenacity")
"""Packages that extras bring"""


def run(*command, cwd: Path) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: a build leaves files behind."""
    pytest.importorskip("setuptools", "77", reason="needs setuptools 77: make test installs it")
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "source" / name)
        else:
            shutil.copy(ROOT / name, folder / "source")
    built = run(
        *(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", *OFFLINE, "--wheel-dir", folder, "."),
        cwd=folder / "source",
    )
    assert built.returncode == 0, built.stderr[-3000:]
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel in an environment that sees this one's packages save those of the extras; its bin folder."""
    folder = tmp_path_factory.mktemp("installed")
    made = run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    assert made.returncode == 0, made.stderr
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    result = run(sys.executable, "-m", "pip", "--python", python, "install", *OFFLINE, wheel, cwd=folder)
    assert result.returncode == 0, result.stderr[-3000:]
    lent = site / "lent"
    lent.mkdir()
    for path in Path(next(p for p in sys.path if p.endswith("site-packages"))).iterdir():
        if path.suffix != ".pth" and not path.name.startswith(("crnn_ser", "__editable__", *BARE)):
            (lent / path.name).symlink_to(path)
    (site / "lent.pth").write_text(f"{lent}\n")
    return folder / "bin"


@pytest.fixture
def shipped(installed, tmp_path) -> Path:
    """The folder of the models, as the installed package has it."""
    code = "import edge.bundle; print(edge.bundle.PRETRAINED.parent)"
    found = run(installed / "python", "-c", code, cwd=tmp_path).stdout.strip()
    assert ROOT not in Path(found).parents, "the checkout is what is tested, not the package"
    return Path(found)


def test_type_checkers_see_the_annotations(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"{package}/py.typed" for package in ("crnn", "edge", "augment")} <= set(names)


def test_a_recording_is_recognized_from_another_folder(installed, shipped, tmp_path):
    shutil.copy(shipped / "synthetic_voice.flac", tmp_path / "clip.flac")
    result = run(installed / "ser-stream", shipped / "float32", "clip.flac", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "segment" in result.stdout
    code = (
        "from edge import open_model\n"
        f"model = open_model({str(shipped / 'float32')!r})\n"
        "print(model.recognize('clip.flac'))"
    )
    assert run(installed / "python", "-c", code, cwd=tmp_path).stdout.startswith("Recognition(emotion=")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_installed_commands(installed, tmp_path, command):
    """Without the extras."""
    result = run(installed / command, "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.startswith(f"usage: {command} ")
    for foreign in ("stream_infer", "train.py", "quantize.py", "python -m edge.", "'.["):
        assert foreign not in result.stdout


@pytest.mark.parametrize(
    ("command", "extras"),
    [
        (("ser-stream", "--mic"), "mic"),
        (("ser-stream", "clip.flac", "--view"), "view"),
        (("ser-page",), "ui"),
        (("ser-train",), "train"),
        (("ser-quantize", "--out", "BUNDLE"), "train,export"),
    ],
)
def test_what_is_missing_is_named_as_the_package_has_it(installed, shipped, tmp_path, command, extras):
    shutil.copy(shipped / "synthetic_voice.flac", tmp_path / "clip.flac")
    name, *arguments = command
    bundle = [shipped / "float32"] if name in ("ser-stream", "ser-quantize") else []
    result = run(installed / name, *bundle, *arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")
    assert f"pip install 'crnn-ser[{extras}]'" in result.stderr


def test_the_commands_are_those_that_messages_name(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(next(n for n in archive.namelist() if n.endswith("entry_points.txt"))).decode()
    assert set(re.findall(r"^(ser-\w+) =", text, re.MULTILINE)) == {command for _, command in PROGRAMS.values()}
    assert set(COMMANDS) == {command for _, command in PROGRAMS.values()}


def test_configurations_come_along(installed, tmp_path):
    code = (
        "from crnn.cli.installed import find_config\n"
        "print(open(find_config('recipe.yaml')).read() == open(find_config('configs/recipe.yaml')).read() != '')\n"
        "print(find_config('none.yaml'))"
    )
    result = run(installed / "python", "-c", code, cwd=tmp_path)
    assert result.stdout.splitlines() == ["True", "none.yaml"], result.stderr


def test_the_wheel_says_what_it_is_and_holds_everything(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = email.message_from_bytes(archive.read(next(n for n in names if n.endswith(".dist-info/METADATA"))))
        licences = {n.partition("licenses/")[2]: archive.read(n).decode() for n in names if "/licenses/" in n}
    assert about["License-Expression"] == "Apache-2.0 AND CC-BY-NC-SA-4.0"
    assert about.get_all("License-File") == ["LICENSE", "edge/pretrained/LICENSE", "edge/pretrained/LICENSE-whisper"]
    assert "Apache License" in licences["LICENSE"]
    assert "creativecommons.org/licenses/by-nc-sa/4.0/legalcode" in licences["edge/pretrained/LICENSE"]
    assert "Copyright (c) 2022 OpenAI" in licences["edge/pretrained/LICENSE-whisper"]
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_payload().startswith("# Speech emotion recognition")
    for version in ("3.11", "3.12", "3.13", "3.14"):
        assert f"Programming Language :: Python :: {version}" in about.get_all("Classifier")
    expected = {
        str(path.relative_to(ROOT))
        for package in ("crnn", "augment", "edge")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {f"crnn/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    assert expected <= set(names), "files of the packages that the wheel lacks"
    plain = [need for need in about.get_all("Requires-Dist") if "extra ==" not in need]
    assert {need.split(">")[0].split("!")[0].split("<")[0] for need in plain} == {
        *("numpy", "onnxruntime", "soundfile", "soxr")
    }
