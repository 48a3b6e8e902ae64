"""Structured pruning removes channels and LSTM units; the rest computes what it did before."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn.config import ModelConfig
from crnn.errors import InputError
from crnn.models.cost import count_macs, count_parameters
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from crnn.training.losses import FocalLoss
from edge.prune.importance import CRITERIA
from edge.prune.structured import DIRECTIONS, Parts, cut, most_important

UNITS, CLASSES = 12, 6


def make(arousal: bool = False) -> tuple[CRNN, RunConfig]:
    torch.manual_seed(0)
    model_config = ModelConfig(channels=(8, 6, 10, 6), lstm_units=UNITS, attention_units=8, arousal=arousal)
    config = replace(RunConfig(), model=model_config)
    model = CRNN(config.features, config.model, CLASSES).eval()
    for block in model.encoder.blocks:
        block[1].running_mean.uniform_(-0.1, 0.1)
        block[1].running_var.uniform_(0.5, 2.0)
        block[1].weight.data.uniform_(0.5, 1.5)
        block[1].bias.data.uniform_(0.1, 0.5)
    return model, config


def batches(n: int = 2) -> list[tuple[torch.Tensor, torch.Tensor]]:
    rng = torch.Generator().manual_seed(1)
    return [(torch.randn(4, 64, 130, generator=rng) - 4, torch.eye(CLASSES)[:4]) for _ in range(n)]


def silence(model: CRNN, remaining: Parts) -> None:
    """Make every channel and unit outside `remaining` output zero, in a model of full size."""
    with torch.no_grad():
        for block, stays in zip(model.encoder.blocks, remaining.channels, strict=True):
            gone = [c for c in range(block[0].out_channels) if c not in stays]
            block[1].weight[gone] = block[1].bias[gone] = 0
        for suffix, stays in zip(DIRECTIONS, remaining.units, strict=False):
            cells = [2 * UNITS + u for u in range(UNITS) if u not in stays]  # no candidate, so no state and no output
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(model.head.lstm, f"{name}_l0{suffix}")[cells] = 0


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_pruned_model_computes_what_the_full_one_does_with_the_rest_silenced(data):
    model, config = make(arousal=True)

    def some(n: int, size: int | None = None) -> torch.Tensor:
        size = size or data.draw(st.integers(1, n))
        return torch.tensor(sorted(data.draw(st.permutations(range(n)))[:size]))

    n_units = data.draw(st.integers(1, UNITS))
    units = tuple(some(UNITS, n_units) for _ in DIRECTIONS)
    remaining = Parts(tuple(map(some, config.model.channels)), units)
    smaller, smaller_config = cut(model, config, remaining)
    silence(model, remaining)
    assert smaller_config.model.channels == tuple(map(len, remaining.channels))
    x = batches(1)[0][0]
    with torch.no_grad():
        assert torch.allclose(smaller(x), model(x), atol=1e-5)
        ours, theirs = (m.head.arousal(m.head.pool(m.encoder(x))) for m in (smaller, model))
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert smaller.head.lstm.hidden_size == smaller_config.model.lstm_units == n_units


def test_pruning_reduces_parameters_and_operations_without_masks():
    model, config = make()
    remaining = most_important(CRITERIA["magnitude"](model, (), FocalLoss(0)), 0.5)
    smaller, smaller_config = cut(model, config, remaining)
    assert (smaller_config.model.channels, smaller_config.model.lstm_units) == ((4, 3, 5, 3), 6)
    assert count_parameters(smaller) < 0.35 * count_parameters(model)
    assert count_macs(smaller, 64, 237) < 0.45 * count_macs(model, 64, 237)
    assert smaller.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("criterion", CRITERIA)
def test_silenced_channels_and_units_are_removed_first(criterion):
    """Half of every block's channels, and half the units, are silenced: every criterion ranks them last."""
    model, config = make()
    half = Parts(
        tuple(torch.arange(n)[n // 2 :] for n in config.model.channels), tuple(torch.arange(UNITS)[6:] for _ in "lr")
    )
    silence(model, half)
    with torch.no_grad():  # nor does any weight read them, as after training
        for number, suffix in enumerate(DIRECTIONS):
            getattr(model.head.lstm, f"weight_hh_l0{suffix}")[:, :6] = 0
            for reader in (model.head.attention[0], model.head.classifier):
                reader.weight[:, number * UNITS : number * UNITS + 6] = 0
    remaining = most_important(CRITERIA[criterion](model, batches(), FocalLoss(0)), 0.5)
    for found, wanted in zip((*remaining.channels, *remaining.units), (*half.channels, *half.units), strict=True):
        assert found.tolist() == wanted.tolist()


def test_the_taylor_criterion_is_the_squared_derivative_by_a_scale():
    """Compared with explicit scales: a factor on a channel's output, and on the weights that read a unit."""
    model, _ = make()
    model, loss = model.double(), torch.nn.functional.cross_entropy
    data = [(log_mel.double(), targets.double()) for log_mel, targets in batches(1)]
    found = CRITERIA["taylor"](model, data, loss)
    log_mel, targets = data[0]
    for number, block in enumerate(model.encoder.blocks):
        scale = torch.ones(block[0].out_channels, dtype=torch.float64, requires_grad=True)
        hook = block.register_forward_hook(lambda module, given, made, scale=scale: made * scale[:, None, None])
        loss(model(log_mel), targets).backward()
        hook.remove()
        assert torch.allclose(found.channels[number].double(), scale.grad.square(), rtol=1e-4, atol=1e-12)
    for number, suffix in enumerate(DIRECTIONS):
        for unit in (0, 5):
            losses = []
            for factor in (1 + 1e-4, 1 - 1e-4):
                weights = {name: value.clone() for name, value in model.state_dict().items()}
                weights[f"head.lstm.weight_hh_l0{suffix}"][:, unit] *= factor
                for name in ("head.attention.0.weight", "head.classifier.weight"):
                    weights[name][:, number * UNITS + unit] *= factor
                with torch.no_grad():
                    losses.append(float(loss(torch.func.functional_call(model, weights, log_mel), targets)))
            slope = (losses[0] - losses[1]) / 2e-4
            assert float(found.units[number][unit]) == pytest.approx(slope**2, rel=1e-3)


def test_a_share_refers_to_the_original_model():
    model, config = make()
    first = CRITERIA["magnitude"](model, (), FocalLoss(0))
    smaller, smaller_config = cut(model, config, most_important(first, 0.3))
    again = most_important(CRITERIA["magnitude"](smaller, (), FocalLoss(0)), 0.5, first)
    _, final = cut(smaller, smaller_config, again)
    assert (final.model.channels, final.model.lstm_units) == ((4, 3, 5, 3), 6)


@given(share=st.floats(0, 0.99))
def test_channels_in_multiples_of_four_stay_so(share):
    whole = Parts((torch.rand(16), torch.rand(24), torch.rand(10)), (torch.rand(13), torch.rand(13)))
    remaining = most_important(whole, share)
    for before, after in zip((16, 24), remaining.channels, strict=False):
        assert len(after) % 4 == 0
        assert abs(len(after) - before * (1 - share)) <= 4
    assert abs(len(remaining.channels[2]) - 10 * (1 - share)) <= 1
    assert len(remaining.units[0]) == len(remaining.units[1]) == max(1, round(13 * (1 - share)))
    for values, indices in zip((*whole.channels, *whole.units), (*remaining.channels, *remaining.units), strict=True):
        left = torch.ones(len(values), dtype=torch.bool).index_fill(0, indices, False)
        assert not left.any() or values[left].max() <= values[indices].min()


def test_at_least_one_remains_and_a_share_of_zero_is_the_same_model():
    model, config = make()
    scores = CRITERIA["bn_scale"](model, (), FocalLoss(0))
    _, least = cut(model, config, most_important(scores, 0.99))
    assert (least.model.channels, least.model.lstm_units) == ((4, 1, 1, 1), 1)
    same, same_config = cut(model, config, most_important(scores, 0.0))
    assert same_config == config
    x = batches(1)[0][0]
    with torch.no_grad():
        assert torch.equal(same(x), model(x))


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(InputError, match="share"):
        most_important(CRITERIA["magnitude"](make()[0], (), FocalLoss(0)), share)


def test_a_pruned_encoder_is_trained_further_where_the_run_kept_it(monkeypatch, tmp_path):
    """Of a run with `frozen`."""
    from edge.prune import fine_tune  # Lightning

    model, config = make()
    fitted = []

    class Ended(Exception):
        """Instead of a fit."""

    def fit(task, *_):
        fitted.append(task)
        raise Ended

    class Clips:
        targets, corpora = torch.eye(CLASSES), None

        def __len__(self) -> int:
            return 32

    monkeypatch.setattr(fine_tune, "fit", fit)
    frozen = replace(config, init="run", frozen=True)
    with pytest.raises(Ended):
        fine_tune.fine_tune(model, frozen, Clips(), Clips(), None, 1, tmp_path)
    assert all(p.requires_grad for p in fitted[0].model.parameters())
