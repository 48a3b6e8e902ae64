"""A file is written whole or not at all, with the permissions asked for; what a killed process left is recognized."""

import errno
import os
import stat
from pathlib import Path

import pytest

from crnn.files.atomic import is_unfinished, replacing, write_text


def test_the_new_content_takes_the_place_of_the_old(tmp_path):
    file = tmp_path / "made" / "a.json"
    write_text(file, "one")
    write_text(file, "zwei \udce9")  # a file name that is not UTF-8 may stand in the text
    assert file.read_text(encoding="utf-8") == "zwei \\udce9"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt()])
def test_the_old_content_survives_an_error(tmp_path, error):
    file = tmp_path / "a.json"
    write_text(file, "one")
    with pytest.raises(type(error)), replacing(file) as out:
        out.write(b"half")
        raise error
    assert file.read_text() == "one"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("owner", "call"), [(os, "fsync"), (Path, "replace")])
def test_an_error_of_the_disk_names_the_file_that_was_asked_for(tmp_path, monkeypatch, owner, call):
    file = tmp_path / "a.json"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(owner, call, full)
    with pytest.raises(OSError, match="No space left") as raised, replacing(file) as out:
        out.write(b"half")
    assert raised.value.filename == str(file)
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_permissions_are_those_asked_for_from_the_first_byte(tmp_path, mode):
    file = tmp_path / "a.wav"
    with replacing(file, mode) as out:
        out.write(b"private")
        (part,) = tmp_path.iterdir()
        assert stat.S_IMODE(part.stat().st_mode) == mode & ~_umask()
    assert stat.S_IMODE(file.stat().st_mode) == mode & ~_umask()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_a_temporary_file_is_recognized_by_its_name(tmp_path):
    with replacing(tmp_path / "take 1.wav"):
        (part,) = tmp_path.iterdir()
        assert is_unfinished(part.name, r"take \d\.wav")
        assert not is_unfinished(part.name, r"take \d")
        assert not is_unfinished(part.name, r"other\.wav")
    assert is_unfinished(".take 1.wav.part", r"take \d\.wav"), "as the version before named it"
    assert not is_unfinished("take 1.wav", r"take \d\.wav")
