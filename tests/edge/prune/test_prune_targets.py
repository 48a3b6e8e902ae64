"""What is wished of a bundle: sizes as people write them, and the least that has to leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn.errors import InputError
from edge.prune.targets import DEFAULT_SHARE, MOST, TIME_MARGIN, PruningTargets, Trial, parse_size


@given(st.integers(1, 10**9), st.sampled_from([("", 1), ("B", 1), ("kB", 1000), ("KB", 1000), ("MiB", 2**20)]))
def test_sizes_are_read_as_they_are_written(n, unit):
    name, factor = unit
    for text in (f"{n}{name}", f"{n} {name}", f" {n}{name.lower()} "):
        assert parse_size(text) == n * factor


@pytest.mark.parametrize("text", ["250 bananas", "", "kB", "0kB", "-3kB", "1e3", "nan", "inf MB", "2 5 kB", "0.0001"])
def test_what_is_no_size_is_refused_with_examples(text):
    with pytest.raises(InputError, match="--target-size .*: give a size such as 250kB"):
        parse_size(text)


@given(st.text(max_size=12))
def test_any_text_gives_a_size_or_a_clear_no(text):
    try:
        assert parse_size(text) > 0
    except InputError as error:
        assert "give a size" in str(error)


class Scales:
    """A model whose bundle weighs 200 kB, a quarter of it whatever is pruned, and costs in proportion."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def __call__(self, share: float) -> Trial:
        self.asked.append(share)
        left = 0.25 + 0.75 * (1 - share) ** 2
        return Trial(round(200_000 * left), 0.01 * left)


@given(size=st.none() | st.integers(53_000, 250_000), rtf=st.none() | st.floats(0.003, 0.02))
def test_the_least_share_that_meets_the_targets_is_found_in_few_trials(size, rtf):
    wish, scales = PruningTargets(size=size, rtf=rtf), Scales()
    share = wish.share(scales)
    if not wish.targets:
        assert (share, scales.asked) == (DEFAULT_SHARE, [])
        return
    assert wish.met(scales(share))
    assert share == 0 or not wish.met(scales(share - 0.01), TIME_MARGIN), "less would have done"
    assert len(scales.asked) <= 11


def test_a_target_beyond_reach_names_the_best_there_is():
    with pytest.raises(
        InputError, match=r"--target-size 50,000 bytes cannot be met: the best, with 90% .* 51,500 bytes"
    ):
        PruningTargets(size=50_000).share(Scales())
    with pytest.raises(InputError, match=r"--target-rtf 0.001 cannot be met: the best, .* rtf 0.0026"):
        PruningTargets(rtf=0.001).share(Scales())


def test_a_share_beside_a_target_must_meet_it():
    assert PruningTargets(prune=0.5, size=150_000).share(Scales()) == 0.5
    with pytest.raises(
        InputError, match=r"--prune 0.1 contradicts --target-size 100,000 bytes: it gives 171,500 bytes"
    ):
        PruningTargets(prune=0.1, size=100_000).share(Scales())


@pytest.mark.parametrize(
    "values", [{"prune": MOST + 0.01}, {"prune": -0.1}, {"prune": float("nan")}, {"rtf": 0.0}, {"rtf": float("nan")}]
)
def test_values_out_of_range(values):
    with pytest.raises(InputError, match="--(prune|target-rtf)"):
        PruningTargets(**values)
