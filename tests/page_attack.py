"""Shared by the tests of attacks on the page."""

from pathlib import Path

from raw_client import Answer

SECRET = "the diary of the user"  # noqa: S105
RATE = 16000
MODEL = "shipped: int8"


def state(folder: Path) -> dict:
    return {
        str(path): (path.lstat().st_mode, path.is_dir() or (path.lstat().st_size, path.lstat().st_mtime_ns))
        for path in sorted(folder.rglob("*"))
    }


def harmless(answer: Answer) -> None:
    assert SECRET not in answer.text
    assert "root:" not in answer.text
    assert "Traceback" not in answer.text
    assert "/home" not in answer.text
    assert answer.code < 500
