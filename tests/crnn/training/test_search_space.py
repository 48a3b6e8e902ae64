"""What --search may name: numbers between two ends, or one of several values."""

import pytest
from helpers import needs
from hypothesis import given
from hypothesis import strategies as st

from crnn.errors import InputError
from crnn.training.search_space import Dimension, check_space, exact, in_sections, read_dimensions, with_values

needs("yaml", reason="needs the train extra")


def test_every_form_is_read():
    assert read_dimensions(
        ["a.b=1e-4:1e-2:log", "c=1:8", "d=0.0:1", "e=x,y", "f=[8, 8],[16, 16]", "g=true,1e-3,2"]
    ) == (
        Dimension("a.b", (1e-4, 1e-2), log=True),
        Dimension("c", (1, 8)),
        Dimension("d", (0.0, 1.0)),
        Dimension("e", choices=("x", "y")),
        Dimension("f", choices=([8, 8], [16, 16])),
        Dimension("g", choices=(True, 0.001, 2)),
    )
    whole = read_dimensions(["c=1:8", "d=0.0:1"])
    assert [[type(end) for end in dimension.ends] for dimension in whole] == [[int, int], [float, float]]


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_ends_are_in_order(low, high):
    if low < high:
        assert read_dimensions([f"a={low}:{high}"])[0].ends == (low, high)
    else:
        with pytest.raises(InputError, match="LOW must be below HIGH"):
            read_dimensions([f"a={low}:{high}"])


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("a", "NAME=LOW:HIGH"),
        ("=1:2", "NAME=LOW:HIGH"),
        ("a=", "NAME=LOW:HIGH"),
        ("a=1:", "nothing is no number"),
        ("a=x:2", "x is no number"),
        ("a=1:inf", "inf is no number"),
        ("a=1:1e999", "1e999 is no number"),
        ("a=1:2:linear", "linear is no scale"),
        ("a=1:2:log:log", "log:log is no scale"),
        ("a=x", "two values or more"),
        ("a=x,x", "twice"),
        ("a=[1,2", "not valid YAML"),
        ("a=!!python/name:os.system ,x", "no number"),
        ("a=&x 1,2", "anchors"),
    ],
)
def test_what_is_no_range_is_named(given, part):
    with pytest.raises(InputError) as refused:
        read_dimensions([given])
    assert part in str(refused.value) and "--search" in str(refused.value)


def test_augmentation_of_what_is_never_augmented_is_no_dimension():
    pytest.importorskip("torch", reason="needs the train extra")
    dimensions = read_dimensions(["augment.noise_p=0.1:0.5"])
    check_space({"model": {"kind": "cnn"}}, dimensions)
    frozen = {"model": {"kind": "frozen-encoder"}, "system.encoder": "x"}
    with pytest.raises(
        InputError, match=r"--search augment.noise_p would change nothing: model.kind frozen-encoder is"
    ):
        check_space(frozen, dimensions)
    check_space(frozen, read_dimensions(["system.units=8:16"]))


def test_values_replace_settings_whichever_way_they_are_written():
    settings = {"optim": {"epochs": 3, "learning_rate": "1e-3"}, "optim.batch_size": 8, "layout": "{speaker}"}
    made = with_values(settings, {"optim.epochs": 5, "loss.gamma": 1.0})
    assert made == {
        "optim": {"epochs": 5, "learning_rate": 0.001, "batch_size": 8},
        "layout": "{speaker}",
        "loss": {"gamma": 1.0},
    }
    assert settings["optim"]["epochs"] == 3, "the settings of the search stay as they are"
    assert with_values({"window": {"hop_seconds": 0.5}}, {}) == {"window": {"interval_seconds": 0.5}}
    assert in_sections({"a": {"b.c": 1}, "a.b": {"d": 2}})["a"]["b"]["d"] == 2


def test_only_numbers_in_an_exponent_are_made_of_text():
    assert exact({"a": ["1e-3", "1E5", "one", "e", "12", "1e"]}) == {"a": [0.001, 1e5, "one", "e", "12", "1e"]}
