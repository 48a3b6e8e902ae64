"""Settings: unknown keys and wrong values are refused by name; the counting of intervals, frames and steps holds."""

import ast
import dataclasses
import inspect
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import crnn.config
import crnn.feature_config
import crnn.run_config
import crnn.system_config
from crnn.config import FeatureConfig, ModelConfig, StreamGeometry, WindowConfig, from_dict
from crnn.errors import InputError
from crnn.run_config import RunConfig

GEOMETRY = RunConfig().geometry


def test_round_trip_through_json():
    config = RunConfig(fold=3, model=ModelConfig(channels=(4, 5, 6, 7)))
    assert from_dict(RunConfig, json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"folds": 1}, "folds"),
        ({"features": {"n_mel": 40}}, "features.n_mel\\b"),
        ({"features": {"n_mels": "many"}}, "features.n_mels"),
        ({"features": {"n_mels": True}}, "features.n_mels"),
        ({"features": {"f_max": 9000.0}}, "f_max"),
        ({"model": {"channels": [1, 2]}}, "model.channels"),
        ({"loss": {"targets": "guess"}}, "loss.targets"),
        ({"optim": {"epochs": 0}}, "optim.epochs"),
        ([1], "named values"),
    ],
)
def test_refuses_by_name(values, part):
    with pytest.raises(InputError, match=part):
        from_dict(RunConfig, values)


def test_every_setting_is_described():
    """A unit on every field: each plain field of a settings class is followed by its docstring."""
    sources = "".join(map(inspect.getsource, (crnn.config, crnn.feature_config, crnn.run_config, crnn.system_config)))
    classes = [n for n in ast.parse(sources).body if isinstance(n, ast.ClassDef) and n.name.endswith("Config")]
    assert len(classes) >= 6
    for cls in classes:
        for field, following in zip(cls.body, [*cls.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and "Config" not in ast.unparse(field.annotation):
                assert isinstance(following, ast.Expr), f"{cls.name}.{field.target.id} has no description"


@pytest.mark.parametrize("interval_seconds", [0.26, 0.0, 0.01])
def test_an_interval_is_a_whole_number_of_steps(interval_seconds):
    with pytest.raises(InputError, match="interval_seconds"):
        StreamGeometry.resolve(FeatureConfig(), ModelConfig(), WindowConfig(interval_seconds=interval_seconds))


def test_a_window_is_longer_than_an_interval():
    with pytest.raises(InputError, match="window_seconds"):
        StreamGeometry.resolve(FeatureConfig(), ModelConfig(), WindowConfig(window_seconds=0.3))


@given(st.integers(1, 10 * 60 * 16000))
def test_flush_covers_every_sample_and_adds_less_than_an_interval(n_samples):
    g = GEOMETRY
    lead, tail = g.padding(n_samples)
    padded = lead + n_samples + tail
    assert lead == g.lead_samples
    assert tail >= 0
    assert g.n_intervals(n_samples) >= g.window_intervals
    assert tail < g.interval_samples or padded == g.window_samples
    assert g.samples_for(g.n_intervals(n_samples) * g.interval_steps) == padded
