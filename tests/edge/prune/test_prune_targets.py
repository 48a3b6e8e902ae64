"""Pruning targets: how sizes are written, and the search for the smallest share that meets a target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn.errors import InputError
from edge.prune.targets import MOST, TIME_MARGIN, PruningTargets, Trial, parse_size


@given(st.integers(1, 10**9), st.sampled_from([("", 1), ("B", 1), ("kB", 1000), ("KB", 1000), ("MiB", 2**20)]))
def test_sizes_with_units_are_parsed(n, unit):
    name, factor = unit
    for text in (f"{n}{name}", f"{n} {name}", f" {n}{name.lower()} "):
        assert parse_size(text) == n * factor


@pytest.mark.parametrize(
    "text", ["250 bananas", "", "kB", "0kB", "-3kB", "1e3", "nan", "inf MB", "2 5 kB", "0.0001", "9" * 400 + "B"]
)
def test_other_text_is_refused_with_examples(text):
    with pytest.raises(InputError, match="--target-size .*250kB"):
        parse_size(text)


@given(st.text(max_size=12))
def test_any_text_gives_a_size_or_input_error(text):
    try:
        assert parse_size(text) > 0
    except InputError as error:
        assert "250kB" in str(error)


class Scales:
    """A model whose bundle weighs 200 kB, a quarter of it whatever is pruned, and costs in proportion."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def __call__(self, share: float) -> Trial:
        self.shares.append(share)
        left = 0.25 + 0.75 * (1 - share) ** 2
        return Trial(round(200_000 * left), 0.01 * left)


@given(size=st.none() | st.integers(53_000, 250_000), rtf=st.none() | st.floats(0.003, 0.02))
def test_the_smallest_share_that_meets_the_targets_is_found_in_few_trials(size, rtf):
    targets, scales = PruningTargets(size=size, rtf=rtf), Scales()
    share = targets.share(scales)
    assert targets.any == bool(targets.given)
    if not targets.any:
        assert (share, scales.shares) == (0, []), "without a target nothing is pruned"
        return
    assert targets.met(scales(share))
    assert share == 0 or not targets.met(scales(share - 0.01), TIME_MARGIN), "a smaller share meets them too"
    assert len(scales.shares) <= 11


def test_an_impossible_target_is_refused_with_the_best_possible():
    with pytest.raises(InputError, match=r"--target-size 50,000 bytes .* 90% .* 51,500 bytes"):
        PruningTargets(size=50_000).share(Scales())
    with pytest.raises(InputError, match=r"--target-rtf 0\.001 .* rtf 0\.0026"):
        PruningTargets(rtf=0.001).share(Scales())


def test_a_given_share_prunes_unless_it_is_zero():
    assert [PruningTargets(prune=share).any for share in (None, 0.0, 0.1)] == [False, False, True]
    assert PruningTargets(prune=0.1).share(Scales()) == 0.1


def test_a_given_share_must_meet_a_target():
    assert PruningTargets(prune=0.5, size=150_000).share(Scales()) == 0.5
    with pytest.raises(InputError, match=r"--prune 0\.1 .*--target-size 100,000 bytes.* 171,500 bytes"):
        PruningTargets(prune=0.1, size=100_000).share(Scales())


@pytest.mark.parametrize(
    "values", [{"prune": MOST + 0.01}, {"prune": -0.1}, {"prune": float("nan")}, {"rtf": 0.0}, {"rtf": float("nan")}]
)
def test_values_out_of_range(values):
    with pytest.raises(InputError, match="--(prune|target-rtf)"):
        PruningTargets(**values)
