"""Self-supervision: its losses, the teacher, collapse; and fits on generated voices."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from augment.config import AugmentConfig
from crnn.config import ModelConfig
from crnn.data.prepare import prepare
from crnn.errors import InputError
from crnn.models.crnn import CRNN
from crnn.run_config import OptimConfig, RunConfig
from crnn.self_supervised_config import SelfSupervisedConfig
from crnn.training.checkpoint import model_weights, read_checkpoint
from crnn.training.fit import BEST, LAST, fit
from crnn.training.masking import draw_spans, masked_steps
from crnn.training.self_supervised_task import SelfSupervisedTask, window_vector
from crnn.training.self_supervision import training_alone
from crnn.training.setup import build_training
from train import open_chains, open_copies

CONFIG = replace(
    RunConfig(),
    protocol="synthetic-demo",
    model=ModelConfig(channels=(4, 4, 4, 4), lstm_units=6, attention_units=4, dropout=0.0),
    optim=OptimConfig(epochs=3, schedule="cosine", batch_size=8, learning_rate=5e-3),
    self_supervised=SelfSupervisedConfig(masked_share=0.6),
)
CLIPS = 6
FRAMES = CONFIG.geometry.frames_for(CONFIG.geometry.window_steps)


def with_settings(**settings) -> RunConfig:
    return replace(CONFIG, self_supervised=replace(CONFIG.self_supervised, **settings))


def task_of(config: RunConfig = CONFIG) -> SelfSupervisedTask:
    torch.manual_seed(0)
    return SelfSupervisedTask(config, CRNN(config.features, config.model, 1)).train()


def a_batch(seed: int = 1) -> torch.Tensor:
    return torch.randn(CLIPS, CONFIG.features.n_mels, FRAMES, generator=torch.Generator().manual_seed(seed)) - 4


def loss_of(task: SelfSupervisedTask, log_mel: torch.Tensor, seed: int = 2) -> torch.Tensor:
    torch.manual_seed(seed)
    return task.batch_loss(log_mel, torch.ones(CLIPS, 1), torch.ones(CLIPS, 1, dtype=torch.bool))


def the_mask(seed: int = 2) -> torch.Tensor:
    """That of `loss_of`."""
    torch.manual_seed(seed)
    return draw_spans(CLIPS, FRAMES - CONFIG.model.lookback_frames, 0.6, 12 * CONFIG.model.stride_frames)


def standardized(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(axis=0)) / np.sqrt(values.var(axis=0) + 1e-5)


def test_the_loss_is_that_of_the_masked_steps_and_of_the_window():
    config = with_settings(utterance="token", utterance_weight=0.5)
    task, log_mel, mask = task_of(config), a_batch(), the_mask()
    with torch.no_grad():
        got = float(loss_of(task, log_mel))
        steps = task.model.encoder.training_steps(log_mel)
        states, _ = task.model.head.lstm(steps)
        seen = task.student.encoder.training_steps(log_mel, mask)
        own, _ = task.student.head.lstm(seen)
        frames = task.frame_prediction(own).double().numpy()
        window = task.window_prediction(task.student.head.pool(seen)).double().numpy()
    width = steps.shape[-1]
    both = torch.cat([steps, states], dim=-1).double().numpy()
    taught = standardized(both.reshape(-1, both.shape[-1])).reshape(both.shape)
    hidden = masked_steps(mask, config.model).numpy()
    assert 0.1 < hidden.mean() < 0.6

    def error(predicted: np.ndarray, target: np.ndarray) -> float:
        squared = (predicted - target) ** 2
        return (squared[..., :width].mean() + squared[..., width:].mean()) / 2

    expected = error(frames[hidden], taught[hidden]) + 0.5 * error(window, standardized(taught.mean(axis=1)))
    assert got == pytest.approx(expected, rel=1e-4)
    assert float(task.figures["frame_loss"] + 0.5 * task.figures["utterance_loss"]) == pytest.approx(got, rel=1e-5)


def test_what_the_student_predicts_of_steps_that_it_sees_does_not_count():
    task, log_mel = task_of(with_settings(utterance_weight=0.0)), a_batch()
    asked = []
    task.frame_prediction.register_forward_hook(lambda _, given, __: asked.append(given[0]))
    loss_of(task, log_mel)
    assert len(asked[0]) == int(masked_steps(the_mask(), CONFIG.model).sum()) < CLIPS * CONFIG.geometry.window_steps


def test_the_student_learns_nothing_of_the_sound_at_masked_steps():
    """Their CNN output is the same whatever is said there; without channels that look back, so is all other."""
    mask, (one, other) = the_mask(), (a_batch(1), a_batch(5))
    task = task_of()
    hidden = masked_steps(mask, CONFIG.model)
    with torch.no_grad():
        steps = [task.eval().student.encoder.training_steps(x, mask)[hidden] for x in (one, other)]
    assert torch.equal(*steps)

    model = replace(CONFIG.model, inputs=("level",), context_frames=1, change_frames=1)
    encoder = CRNN(CONFIG.features, model, 1).eval().encoder
    masked = mask[:, : FRAMES - model.lookback_frames]
    assert model.lookback_frames == 0
    whole = torch.zeros(CLIPS, FRAMES, dtype=torch.bool)
    whole[:, : masked.shape[1]] = masked
    mixed = torch.where(whole[:, None], other, one)
    with torch.no_grad():
        assert torch.equal(encoder.training_steps(one, whole), encoder.training_steps(mixed, whole))
        assert not torch.equal(encoder.training_steps(one), encoder.training_steps(mixed))


def test_a_frame_that_is_not_masked_is_as_before():
    encoder, log_mel = task_of().eval().model.encoder, a_batch()
    nothing = torch.zeros(CLIPS, FRAMES - CONFIG.model.lookback_frames, dtype=torch.bool)
    with torch.no_grad():
        assert torch.equal(encoder.training_steps(log_mel, nothing), encoder.training_steps(log_mel))


def test_the_teacher_moves_towards_the_student_and_is_not_trained():
    task = task_of(with_settings(utterance="chunk"))
    loss_of(task, a_batch()).backward()
    assert all(p.grad is None for p in task.model.parameters())
    used = [p for name, p in task.student.named_parameters() if "classifier" not in name]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in used)
    with torch.no_grad():
        for p in task.student.parameters():
            p.add_(torch.randn_like(p))
    before = [p.clone() for p in task.model.parameters()]
    statistics = [b.clone() for b in task.model.buffers()]
    task.follow(0.75)
    for kept, old, moved in zip(task.model.parameters(), before, task.student.parameters(), strict=True):
        torch.testing.assert_close(kept, 0.75 * old + 0.25 * moved)
    assert all(torch.equal(now, then) for now, then in zip(task.model.buffers(), statistics, strict=True))


def test_the_teachers_statistics_come_from_frames_that_are_not_masked():
    task, log_mel = task_of(), a_batch()
    other = CRNN(CONFIG.features, CONFIG.model, 1).train()
    other.load_state_dict(task.model.state_dict())
    loss_of(task, log_mel)
    with torch.no_grad():
        other.encoder.training_steps(log_mel)
    ours, theirs = (model.encoder.state_dict() for model in (task.model, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    student = task.student.encoder.state_dict()
    assert any(not torch.equal(student[name], theirs[name]) for name in theirs if "running_mean" in name)


def test_the_teacher_drops_nothing():
    config = replace(CONFIG, model=replace(CONFIG.model, dropout=0.5))
    task = task_of(config)
    dropouts = [part for part in task.model.modules() if isinstance(part, nn.Dropout)]
    assert dropouts and not any(part.training for part in dropouts)
    assert all(part.training for part in task.student.modules() if isinstance(part, nn.Dropout))
    assert all(part.training for part in task.model.modules() if isinstance(part, nn.BatchNorm2d))


def test_the_windows_vector_by_token_chunk_and_mean():
    head = task_of().student.head
    steps = torch.randn(3, 20, head.lstm.input_size)
    queries = nn.Linear(CONFIG.model.attention_units, 2, bias=False)
    with torch.no_grad():
        states, _ = head.lstm(steps)
        token, chunk, mean = (window_vector(head, states, kind, queries) for kind in ("chunk", "chunk", "global"))
        token = window_vector(head, states, "token")
        torch.testing.assert_close(token, head.pool(steps))
        torch.testing.assert_close(mean, states.mean(dim=1))
        hidden = head.attention[1](head.attention[0](states))
        asked = [head.attention[2](hidden), *queries(hidden).split(1, dim=-1)]
        vectors = [(states * scores.softmax(dim=1)).sum(dim=1) for scores in asked]
        torch.testing.assert_close(chunk, torch.stack(vectors).mean(dim=0))


@pytest.mark.parametrize("part", ["lstm", "encoder"])
def test_collapse_is_one_clear_error(part):
    """A teacher whose outputs are the same for every sound."""
    task = task_of()
    with torch.no_grad():
        for p in getattr(task.model.head if part == "lstm" else task.model, part).parameters():
            p.zero_()
    with pytest.raises(InputError, match="has collapsed: the teacher's .* deviation of .*optim.learning_rate"):
        loss_of(task, a_batch())


def test_a_teacher_without_numbers_is_no_teacher():
    task = task_of()
    with torch.no_grad():
        task.model.head.lstm.weight_hh_l0.fill_(float("nan"))
    with pytest.raises(InputError, match="collapsed.*nan"):
        loss_of(task, a_batch())


class Ended(RuntimeError):
    """As if the process were killed."""


@pytest.fixture(scope="module")
def fitted(voices, cache):
    """`fitted(config, folder, ends, resume)`: a fit on the training speakers of generated voices -> its task."""
    prepared = training_alone(CONFIG, prepare(CONFIG, {"synthetic": str(voices)}, cache))
    chain = open_chains(CONFIG, AugmentConfig(noise=False, room=False, mixup=False, spec=False, copies=1))
    copies = open_copies(CONFIG, chain, prepared, None, cache)

    def fit_one(config: RunConfig, folder: Path, ends: bool = False, resume: bool = False) -> SelfSupervisedTask:
        parts = build_training(config, prepared.split, prepared.cache, copies, chain.batch, None)
        begin = parts.task.on_train_epoch_start

        def beginning() -> None:
            if ends and parts.task.current_epoch == 2:
                raise Ended
            begin()

        parts.task.on_train_epoch_start = beginning
        fit(parts.task, parts.train, parts.dev, folder, resume)
        return parts.task

    return fit_one


@pytest.mark.parametrize("utterance", ["token", "chunk", "global"])
def test_both_losses_fall_on_one_batch(utterance):
    """With a teacher that stands still; one that moves changes what is to be predicted."""
    task, log_mel = task_of(with_settings(utterance=utterance)), a_batch()
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss_of(task, log_mel).backward()
        losses.append((float(task.figures["frame_loss"]), float(task.figures["utterance_loss"])))
        optimizer.step()
    assert losses[0] == pytest.approx((1.0, 1.0), abs=0.5), "a guess"
    assert losses[-1][0] < 0.9 * losses[0][0] and losses[-1][1] < 0.6 * losses[0][1]


def test_a_resumed_fit_ends_with_the_same_weights(fitted, tmp_path):
    config = replace(with_settings(utterance="chunk"), optim=replace(CONFIG.optim, epochs=4))
    whole = fitted(config, tmp_path / "whole")
    assert not any(part.training for part in whole.model.modules() if isinstance(part, nn.Dropout)), "in a fit as well"
    history = whole.history
    assert [row["epoch"] for row in history] == [0, 1, 2, 3]
    assert history[-1]["teacher_decay"] == pytest.approx(0.999)
    assert all(row[name] > 0.01 for row in history for name in ("target_std", "embedding_std"))
    assert all(1 <= row["embedding_rank"] <= 8 for row in history)

    with pytest.raises(Ended):
        fitted(config, tmp_path / "ended", ends=True)
    resumed = fitted(config, tmp_path / "ended", resume=True)
    assert resumed.history == history
    ours, theirs = (read_checkpoint(tmp_path / run / LAST)["state_dict"] for run in ("whole", "ended"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    kept = model_weights(tmp_path / "whole" / BEST)
    assert kept.keys() == CRNN(config.features, config.model, 8).state_dict().keys(), "the teacher alone"
    student = {name.removeprefix("student."): x for name, x in ours.items() if name.startswith("student.")}
    lstm = "head.lstm.weight_ih_l0"
    assert not torch.equal(kept[lstm], student[lstm])
    assert all(p.requires_grad for p in resumed.model.parameters()), "a model like others"
