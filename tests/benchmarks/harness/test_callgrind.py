"""Instructions are counted under Valgrind: in proportion to the work, the same for the same work, or refused."""

import shutil

import pytest

from benchmarks.harness.callgrind import Counter, counted, instructions
from crnn.errors import InputError

needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")

SUMS = """
import sys
from benchmarks.harness.callgrind import Counter
counter = Counter()
counter.count("warm", lambda: sum(range(1000)))
for name, n in (("one", 20_000), ("again", 20_000), ("three", 60_000)):
    counter.count(name, lambda: sum(range(n)))
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def program(tmp_path, monkeypatch) -> str:
    """A module that counts sums; its argument is its exit code."""
    (tmp_path / "counted_sums.py").write_text(SUMS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "counted_sums"


@needs_valgrind
def test_three_times_the_work_is_three_times_the_instructions(program):
    found = counted(program, ["0"])
    assert set(found) == {"warm", "one", "again", "three"}
    assert found["one"] > 20_000, "at least one for each number"
    assert found["again"] == pytest.approx(found["one"], rel=0.02)
    assert found["three"] == pytest.approx(3 * found["one"], rel=0.1)


@needs_valgrind
def test_a_program_that_fails_is_reported_with_its_exit_code(program):
    with pytest.raises(InputError, match="counted_sums: stopped with code 3"):
        counted(program, ["3"])


def test_without_valgrind_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="apt-get install valgrind"):
        counted("counted_sums", [])


def test_a_program_that_is_not_counted_is_refused():
    with pytest.raises(InputError):
        Counter()


@pytest.mark.parametrize(
    "dump", ["", "desc: Trigger: Program termination\ntotals: 5\n", "desc: Trigger: Client Request: a\n"]
)
def test_a_dump_without_a_named_count_is_refused(dump):
    with pytest.raises(InputError, match="no count"):
        instructions(dump)
