"""Every reader of files that others may have written answers, or refuses in one line, whatever is in them.

A hundred inputs each, fewer where they are costly; `python -m benchmarks.fuzz` tries thousands, in processes of their
own.
"""

import resource

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from benchmarks.fuzz.__main__ import one, shares, summary
from benchmarks.fuzz.readers import readers
from crnn.errors import InputError

READERS = readers()
FEW = {name: reader for name, reader in READERS.items() if reader.cost >= 50}
"""A process of its own for each input that gets past the checks"""


def try_reader(reader, count: int) -> None:
    @settings(
        max_examples=count,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.inputs)
    def every(given_input) -> None:
        assert one(reader, given_input) in ("refused", "accepted")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    every()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 1024, f"{grown:.0f} MiB more"


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.cost == 1])
def test_cheap_readers(name):
    try_reader(READERS[name], 100)


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if 1 < reader.cost < 50])
def test_readers_that_run_a_model_or_make_one(name):
    try_reader(READERS[name], 50)


@pytest.mark.parametrize("name", FEW)
def test_model_files_that_a_process_of_their_own_tries(name):
    try_reader(READERS[name], 10)


def test_the_sound_file_itself_is_accepted(tmp_path):
    """What is refused is refused for what was changed in it."""
    from benchmarks.fuzz import readers as made

    sound = {
        made.SPEAKERS: made._speakers,
        made.GOLDEN: made._golden,
        made._file("onnx", "head"): made._model("onnx", "head"),
        made._file("tflite", "head"): made._model("tflite", "head"),
        made.MANIFEST: made._manifest,
        "weights.safetensors": made._weights,
        "weights.json": made._weights_facts,
    }
    for number, (name, read) in enumerate(sound.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        read(folder, (made.SOUND / name).read_bytes())


def test_weights_of_another_value_are_refused_by_the_golden_values(tmp_path):
    """Their hash is right, and every shape is."""
    from safetensors.torch import load, save

    from benchmarks.fuzz import readers as made

    weights = load((made.SOUND / "weights.safetensors").read_bytes())
    weights["head.classifier.bias"] += 1.0
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        made._weights(tmp_path, save(weights))


def test_faults_are_counted_and_not_passed_over(tmp_path):
    from benchmarks.fuzz.readers import Reader

    def fails(folder, given_input):
        raise KeyError(given_input)

    def two_lines(folder, given_input):
        error = InputError("")
        error.args = ("one\ntwo",)
        raise error

    assert one(Reader(None, fails), "x").startswith("KeyError: \"'x'\" at __main__.py")
    assert one(Reader(None, two_lines), "x").startswith("InputError that is no line")
    row = summary(
        [(1, "refused"), (2, "accepted"), (3, "KeyError: ..."), (4, "hang"), (5, "crash: status -11"), (0, 9.5)]
    )
    assert (row["inputs"], row["refused"], row["accepted"]) == (5, 1, 1)
    assert (row["tracebacks"], row["hangs"], row["crashes"], row["peak_mb"]) == (1, 1, 1, 9.5)
    assert sum(shares(1000, READERS).values()) == pytest.approx(1000, abs=len(READERS))
