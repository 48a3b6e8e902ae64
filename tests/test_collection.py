"""`make test` works without the optional packages: what needs them is skipped with the reason, what is broken fails."""

import shutil
import subprocess
import sys

import pytest
from helpers import ROOT
from hypothesis import settings
from slow_files import SLOW


@pytest.mark.parametrize(
    ("imported", "code", "part"),
    [
        ("import no_such_package.part", 0, "needs no_such_package"),
        ("import crnn.no_such_module", 2, "No module named 'crnn.no_such_module'"),
        ("from json import no_such_name", 2, "cannot import name 'no_such_name'"),
    ],
)
def test_doctests_skip_what_an_extra_would_bring_and_nothing_else(tmp_path, imported, code, part):
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "good.py").write_text('"""\n>>> 1 + 1\n2\n"""\n')
    (tmp_path / "other.py").write_text(imported + "\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--doctest-modules",
        "-rs",
        "-q",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stdout
    assert part in result.stdout
    assert code or "1 passed, 1 skipped" in result.stdout


def test_the_slow_files_are_there():
    assert [name for name in SLOW if not (ROOT / "tests" / name).is_file()] == []


def test_no_property_has_a_deadline():
    """A machine that is busy with something else must not fail a test."""
    assert settings().deadline is None
