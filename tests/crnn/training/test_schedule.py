"""Learning rates against torch's own schedulers; accumulation, clipping and weight decay against their definitions."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_fit import PLAIN, model_of, resumed_fit, tiny_fit, with_optim
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LinearLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from crnn.config import from_dict
from crnn.errors import InputError
from crnn.run_config import OptimConfig
from crnn.training.schedule import learning_rate
from crnn.training.task import EmotionTask

BATCHES = 5


def ours(optim: OptimConfig, batches: int = BATCHES) -> list[float | None]:
    return [learning_rate(optim, epoch, batch, batches) for epoch in range(optim.epochs) for batch in range(batches)]


def theirs(optim: OptimConfig, made) -> list[float]:
    """The learning rates of torch's scheduler `made(optimizer)`, one per step."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=optim.learning_rate)
    scheduler, rates = made(optimizer), []
    for _ in range(optim.epochs * BATCHES):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def warmed(optimizer, optim: OptimConfig, then):
    """torch's linear warm-up, then another of its schedulers."""
    steps = round(optim.warmup_epochs * BATCHES)
    if not steps:
        return then
    rise = LinearLR(optimizer, start_factor=1 / steps, total_iters=steps - 1)
    return SequentialLR(optimizer, [rise, then], [steps])


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("least", [0.0, 0.003])
def test_warm_restarts_are_torchs_after_torchs_warm_up(factor, warmup, least):
    optim = OptimConfig(
        epochs=24, learning_rate=0.01, schedule="warm-restarts", warmup_epochs=warmup, restart_epochs=3,
        restart_factor=factor, min_learning_rate=least,
    )  # fmt: skip

    def made(optimizer):
        restarts = CosineAnnealingWarmRestarts(optimizer, 3 * BATCHES, factor, eta_min=least)
        return warmed(optimizer, optim, restarts)

    assert ours(optim) == pytest.approx(theirs(optim, made), abs=1e-9)


@pytest.mark.parametrize("least", [0.0, 0.003])
def test_a_cosine_is_torchs(least):
    optim = OptimConfig(epochs=6, learning_rate=0.01, schedule="cosine", min_learning_rate=least)
    expected = theirs(optim, lambda optimizer: CosineAnnealingLR(optimizer, 6 * BATCHES, eta_min=least))
    assert ours(optim) == pytest.approx(expected, abs=1e-9)


def test_before_the_plateau_the_rate_rises_linearly():
    rates = ours(OptimConfig(epochs=4, learning_rate=0.01, warmup_epochs=2))
    assert rates[:10] == pytest.approx([0.001 * step for step in range(1, 11)])
    assert rates[10:] == [None] * 10


@given(
    st.sampled_from(["plateau", "cosine", "warm-restarts"]), st.floats(0, 5), st.floats(0.1, 9), st.integers(1, 4),
    st.integers(1, 7), st.integers(0, 19), st.integers(0, 6),
)  # fmt: skip
def test_no_rate_leaves_its_range(schedule, warmup, length, factor, accumulate, epoch, batch):
    optim = OptimConfig(
        epochs=20, learning_rate=0.01, min_learning_rate=0.0, schedule=schedule, warmup_epochs=warmup,
        restart_epochs=length, restart_factor=factor, accumulate=accumulate,
    )  # fmt: skip
    rate = learning_rate(optim, epoch, batch, 7)
    assert rate is None or 0 <= rate <= 0.01
    same_step = batch - batch % accumulate
    assert rate == learning_rate(optim, epoch, same_step, 7)


class Watched(EmotionTask):
    """Notes the learning rate and the norm of the gradient of every step."""

    def __init__(self, *given, **named) -> None:
        super().__init__(*given, **named)
        self.rates, self.norms, self.scores = [], [], iter([0.5, 0.4, 0.4, 0.4, 0.4, 0.4])

    def on_before_optimizer_step(self, optimizer) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])

    def optimizer_step(self, *given, **named) -> None:
        super().optimizer_step(*given, **named)
        grads = [p.grad for p in self.model.parameters() if p.grad is not None]
        self.norms.append(float(torch.cat([grad.flatten() for grad in grads]).norm()))


def test_a_fit_takes_every_step_with_the_rate_of_the_schedule(tmp_path):
    config = with_optim(epochs=4, schedule="warm-restarts", warmup_epochs=1, restart_epochs=1.5)
    task = tiny_fit(config, tmp_path, task_type=Watched)
    assert task.rates == pytest.approx(ours(config.optim, 4))


def test_a_resumed_fit_goes_on_with_the_rate_and_ends_with_the_weights_of_a_whole_one(tmp_path):
    config = with_optim(epochs=4, schedule="warm-restarts", restart_epochs=1.5, ema_decay=0.5)
    whole = tiny_fit(config, tmp_path / "whole", task_type=Watched)
    rest = resumed_fit(config, tmp_path / "ended", task_type=Watched)
    assert rest.rates == whole.rates[8:]
    assert all(torch.equal(mine, other) for mine, other in zip(rest.parameters(), whole.parameters(), strict=True))


def test_the_plateau_is_torchs_and_goes_no_lower_than_its_least(tmp_path):
    config = with_optim(epochs=6, plateau_patience=0, plateau_factor=0.5, min_learning_rate=0.0004, learning_rate=0.002)

    class Judged(Watched):
        def on_validation_epoch_end(self) -> None:
            self._dev = []
            self.log("dev_uar", torch.tensor(score := next(self.scores)))
            self.plateau.step(score)

    task = tiny_fit(config, tmp_path, task_type=Judged)
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.002)
    scheduler, expected = ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=0, min_lr=0.0004), []
    for score in (0.5, 0.4, 0.4, 0.4, 0.4, 0.4):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(score)
    assert expected[-1] == 0.0004
    assert task.rates[::4] == expected


def test_two_batches_of_8_are_one_of_16(tmp_path):
    """Without batch norm, dropout and class weights, which depend on the batch."""
    parts = tiny_fit(with_optim(batch_size=8, accumulate=2, epochs=2), tmp_path / "parts", task_type=Watched)
    whole = tiny_fit(with_optim(batch_size=16, epochs=2), tmp_path / "whole", task_type=Watched)
    without = tiny_fit(with_optim(batch_size=8, epochs=2), tmp_path / "without", task_type=Watched)
    assert len(parts.rates) == len(whole.rates) == 4
    assert len(without.rates) == 8
    for mine, other in zip(parts.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-6)
    assert not torch.allclose(parts.model.head.classifier.weight, without.model.head.classifier.weight, atol=1e-4)


def test_a_gradient_is_scaled_down_to_its_limit(tmp_path):
    free = tiny_fit(PLAIN, tmp_path / "free", task_type=Watched)
    clipped = tiny_fit(with_optim(gradient_clip=0.05), tmp_path / "clipped", task_type=Watched)
    assert min(free.norms) > 0.05, "0 clips nothing"
    assert clipped.norms == pytest.approx([0.05] * len(clipped.norms), rel=1e-3)


def test_weight_decay_shrinks_weights_beside_the_gradient(tmp_path):
    """Of a step, AdamW's: learning rate times weight decay, of each weight."""
    config = with_optim(weight_decay=0.5, learning_rate=0.01, batch_size=32, warmup_epochs=0)
    before = model_of(config).head.classifier.weight
    decayed, plain = (
        tiny_fit(replace(config, optim=optim), tmp_path / str(n)).model.head.classifier.weight
        for n, optim in enumerate((config.optim, replace(config.optim, weight_decay=0.0)))
    )
    assert torch.allclose(plain - decayed, 0.01 * 0.5 * before, atol=1e-6)


@pytest.mark.parametrize(
    ("optim", "says"),
    [
        ({"schedule": "linear"}, "optim.schedule is 'linear'"),
        ({"accumulate": 0}, "optim.accumulate is 0; give 1 or more"),
        ({"restart_epochs": 0.0}, "optim.restart_epochs is 0.0"),
        ({"restart_factor": 0}, "optim.restart_factor is 0"),
        ({"min_learning_rate": 0.1}, "optim.min_learning_rate is 0.1; .*below optim.learning_rate"),
        ({"min_learning_rate": -1.0}, "optim.min_learning_rate is -1"),
        ({"gradient_clip": -1.0}, "optim.gradient_clip is -1"),
        ({"weight_decay": -0.1}, "optim.weight_decay is -0.1"),
        ({"warmup_epochs": -1.0}, "optim.warmup_epochs is -1"),
    ],
)
def test_a_setting_out_of_range_is_one_line(optim, says):
    with pytest.raises(InputError, match=says) as refused:
        from_dict(OptimConfig, optim, "optim")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("length", [1e-17, 1e-9])
def test_cycles_of_almost_no_length_do_not_hang(factor, length):
    optim = OptimConfig(
        epochs=2, learning_rate=0.01, schedule="warm-restarts", restart_epochs=length, restart_factor=factor
    )
    assert all(0 <= rate <= 0.01 for rate in ours(optim))
