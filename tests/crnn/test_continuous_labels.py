"""Continuous labels as settings name them."""

import pytest

from crnn.config import ModelConfig, from_dict
from crnn.continuous_labels import continuous_labels
from crnn.errors import InputError
from crnn.run_config import RunConfig, plain_values, require_exportable


def test_a_label_has_a_name_and_a_range():
    assert continuous_labels([" Valence:-3:3 ", "dominance"]) == (("valence", -3.0, 3.0), ("dominance", 0.0, 1.0))
    assert ModelConfig(continuous=("valence:1:5", "dominance"), arousal=True).n_estimates == 3


@pytest.mark.parametrize(
    ("continuous", "says"),
    [
        (["valence:1"], "'valence:1' is no label"),
        (["valence:5:1"], "'valence:5:1' is no label"),
        (["valence:one:5"], "is no label; give NAME"),
        (["valence:nan:5"], "is no label"),
        ([""], "is no label"),
        (["1st"], "is no label"),
        (["valence", "Valence:1:5"], "names valence twice"),
        ([f"label{n}" for n in range(17)], "17 labels; give at most 16"),
        (["arousal:1:5"], "names arousal, which model.arousal estimates"),
    ],
)
def test_what_is_no_label_is_one_line(continuous, says):
    with pytest.raises(InputError, match=says) as refused:
        from_dict(RunConfig, {"model": {"continuous": continuous, "arousal": True}})
    assert "\n" not in str(refused.value)


def test_run_folders_without_any_do_not_mention_them():
    """So that bundles keep their bytes."""
    assert "continuous" not in plain_values(RunConfig())["model"]
    named = RunConfig(model=ModelConfig(continuous=("valence",)))
    assert from_dict(RunConfig, plain_values(named)) == named


def test_a_run_that_estimates_them_becomes_no_bundle():
    require_exportable(RunConfig(), "runs/a")
    with pytest.raises(InputError, match="runs/a: it estimates valence:1:5"):
        require_exportable(RunConfig(model=ModelConfig(continuous=("valence:1:5",))), "runs/a")
