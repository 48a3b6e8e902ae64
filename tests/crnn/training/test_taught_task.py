"""Learning from a speech encoder: the loss, rows without a label, and a whole run that resumes and says who taught."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import SMALL, called, one_clear_line, script
from tiny_whisper import needs_transformers, write_tiny_whisper

import train
from augment.config import AugmentConfig
from augment.mix import Mixup
from crnn.config import ModelConfig, from_dict
from crnn.data.corpora import Utterance
from crnn.data.prepare import prepare, without_dev_of
from crnn.data.splits import Split
from crnn.errors import InputError
from crnn.models.crnn import CRNN
from crnn.models.pretrained import open_encoder
from crnn.run_config import LoopConfig, LossConfig, OptimConfig, RunConfig, TeacherConfig
from crnn.training.checkpoint import model_weights, read_checkpoint
from crnn.training.fit import LAST, fit
from crnn.training.initial_weights import start_of_run
from crnn.training.run_folder import RunFolder
from crnn.training.setup import build_training
from crnn.training.taught_task import TaughtTask
from crnn.training.teacher import open_taught
from train import open_chains, open_copies

needs_transformers()

CONFIG = replace(
    RunConfig(),
    model=ModelConfig(channels=(4, 4, 4, 4), lstm_units=6, attention_units=4, dropout=0.0),
    loss=LossConfig(gamma=0.0, label_share=0.5),
    teacher=TeacherConfig("anywhere", answers=2.0, embedding=3.0, components=7),
)
OPEN = torch.ones(4, 5, dtype=torch.bool)
TARGETS = torch.eye(5)[:4]


def task_of(config: RunConfig = CONFIG) -> TaughtTask:
    torch.manual_seed(0)
    return TaughtTask(config, CRNN(config.features, config.model, 5))


def a_batch(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Features, and what they are taught."""
    generator = torch.Generator().manual_seed(seed)
    answers = torch.rand(4, 5, generator=generator)
    components = torch.randn(4, 7, generator=generator)
    log_mel = torch.randn(4, 64, 130, generator=generator) - 4
    return log_mel, torch.cat([answers / answers.sum(1, keepdim=True), components], dim=1)


def test_the_loss_is_labels_answers_and_embedding():
    task = task_of().eval()
    log_mel, taught = a_batch()
    with torch.no_grad():
        got = float(task.batch_loss(log_mel, TARGETS, OPEN, taught))
        logits = task.model.training_logits(log_mel).double().numpy()
        pooled = task.model.head.pool(task.model.encoder.training_steps(log_mel))
        predicted = task.projection(pooled).double().numpy()
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    answers, components = taught[:, :5].double().numpy(), taught[:, 5:].double().numpy()
    labels = -(TARGETS.numpy() * log_probs).sum(axis=1).mean()
    entropy = -(answers * log_probs).sum(axis=1).mean()
    error = ((predicted - components) ** 2).mean()
    assert got == pytest.approx(0.5 * labels + 2 * entropy + 3 * error, rel=1e-5)


def test_clips_without_a_label_are_taught_by_the_encoder_alone():
    """Also after mixup: a blend with such a clip has no label of its own."""
    labels_alone = replace(CONFIG, teacher=replace(CONFIG.teacher, answers=0.0, embedding=1e-9))
    task = task_of(labels_alone).eval()
    log_mel, taught = a_batch()
    targets = TARGETS.clone()
    targets[2:] = 0
    with torch.no_grad():
        both = float(task.batch_loss(log_mel, targets, OPEN, taught))
        first = float(task.batch_loss(log_mel[:2], targets[:2], OPEN[:2], taught[:2]))
    assert both == pytest.approx(first, rel=1e-5)

    mixed, rows = Mixup(1.0, 1.0)(log_mel, torch.cat([targets, taught], dim=1), torch.Generator().manual_seed(3))
    task = task_of(replace(CONFIG, teacher=replace(CONFIG.teacher, answers=1.0, embedding=0.0)))
    sums = rows[:, :5].sum(dim=1)
    assert ((sums > 0.01) & (sums < 0.99)).any(), "labelled and unlabelled are mixed here"
    nobody = float(task.batch_loss(mixed, torch.zeros(4, 5), OPEN, rows[:, 5:]))
    blends = rows[:, :5] * (sums < 0.99)[:, None]
    assert float(task.batch_loss(mixed, blends, OPEN, rows[:, 5:])) == pytest.approx(nobody, rel=1e-6)
    assert np.isfinite(nobody)


def test_a_batch_goes_through_the_same_mixup_as_its_teaching():
    """Two clips that are swapped in the batch swap all their targets."""
    given = {}

    class Watching(TaughtTask):
        def batch_loss(self, log_mel, targets, mask, *taught):
            given.update(targets=targets, mask=mask, taught=taught[0])
            return super().batch_loss(log_mel, targets, mask, *taught)

        global_rank, current_epoch = 0, 0

        def log(self, *_, **__):
            """Outside a trainer."""

    torch.manual_seed(0)
    task = Watching(CONFIG, CRNN(CONFIG.features, CONFIG.model, 5), None, lambda x, y, seed: (x.flip(0), y.flip(0)))
    log_mel, taught = a_batch()
    mask = torch.tensor([[True, True, True, True, False]] * 4)
    task.training_step((log_mel, TARGETS, mask, taught), 0)
    assert torch.equal(given["targets"], TARGETS.flip(0))
    assert torch.equal(given["mask"], mask)
    assert torch.equal(given["taught"], taught.flip(0))


def test_the_projection_is_trained_and_is_no_part_of_the_model():
    task = task_of()
    log_mel, taught = a_batch()
    task.batch_loss(log_mel, TARGETS, OPEN, taught).backward()
    trained = {id(p) for group in task.configure_optimizers().param_groups for p in group["params"]}
    for parameter in task.projection.parameters():
        assert parameter.grad.abs().sum() > 0
        assert id(parameter) in trained
    assert not any("projection" in name for name in task.model.state_dict())


def test_the_loss_is_in_single_precision_under_autocast():
    task = task_of()
    log_mel, taught = a_batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = task.batch_loss(log_mel, TARGETS, OPEN, taught)
    assert mixed.dtype == torch.float32
    assert float(mixed) == pytest.approx(float(task.batch_loss(log_mel, TARGETS, OPEN, taught)), rel=0.02)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return write_tiny_whisper(tmp_path_factory.mktemp("whisper"))


class Ended(RuntimeError):
    """As if the process were killed."""


def test_a_resumed_run_ends_with_the_same_weights(voices, cache, tmp_path, whisper):
    """In mixed precision, with averaged weights and the projection's optimizer state."""
    config = replace(
        CONFIG,
        protocol="synthetic-demo",
        optim=OptimConfig(epochs=2, ema_decay=0.8, schedule="cosine", epoch_clips=32),
        loop=LoopConfig(precision="bf16-mixed"),
        teacher=TeacherConfig(str(whisper), layers=(1, 3), components=7),
    )
    prepared = prepare(config, {"synthetic": str(voices)}, cache)
    augment = AugmentConfig(noise=False, room=False, copies=2)
    chain = open_chains(config, augment)
    copies = open_copies(config, chain, prepared, None, cache)
    taught = open_taught(config, prepared.split, prepared.cache, open_encoder(whisper, (1, 3)), cache)
    assert taught.targets.shape == (len(prepared.split.train), 8 + 7)

    def fitted(folder: Path, ends: bool = False, resume: bool = False) -> dict:
        parts = build_training(config, prepared.split, prepared.cache, copies, chain.batch, None, taught)
        begin = parts.task.on_train_epoch_start

        def beginning() -> None:
            if ends and parts.task.current_epoch == 1:
                raise Ended
            begin()

        parts.task.on_train_epoch_start = beginning
        fit(parts.task, parts.train, parts.dev, folder, resume)
        return read_checkpoint(folder / LAST)["state_dict"]

    whole = fitted(tmp_path / "whole")
    with pytest.raises(Ended):
        fitted(tmp_path / "ended", ends=True)
    resumed = fitted(tmp_path / "ended", resume=True)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    weights = model_weights(tmp_path / "whole" / LAST)
    assert weights.keys() == CRNN(config.features, config.model, 8).state_dict().keys(), "no projection"


def test_train_py_names_the_encoder_and_refuses_another(voices, cache, tmp_path, whisper):
    encoder, out = shutil.copytree(whisper, tmp_path / "encoder"), tmp_path / "run"
    arguments = (
        *("train.py", *SMALL, "--data", f"synthetic:{voices}", "--cache", cache, "--out", out, "--optim.epochs", 1),
        *("--teacher.encoder", encoder, "--teacher.layers", "[1,3]", "--teacher.components", 7),
    )
    done = script(*arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    (described,) = json.loads((out / "metrics.json").read_text())["taught_by"]
    assert described == open_encoder(encoder, (1, 3)).describe()
    assert start_of_run(out).taught_by == RunFolder(out).taught_by() == (described,)

    (out / "metrics.json").unlink()  # as if it had been ended
    shutil.rmtree(encoder)
    write_tiny_whisper(encoder, seed=5)
    one_clear_line(called(train.main, *arguments[1:], "--resume"), str(out), "speech encoder")
    shutil.rmtree(encoder)
    one_clear_line(called(train.main, *arguments[1:], "--resume"), str(encoder), "no speech encoder")


def utterance(corpus: str, speaker: str) -> Utterance:
    return Utterance(Path(f"/x/{corpus}{speaker}.wav"), corpus, speaker, None, "sad")


def test_nobody_develops_on_corpora_without_labels():
    members = [utterance(corpus, speaker) for corpus in ("emodb", "emovo") for speaker in ("1", "2")]
    split = Split.of("any", 0, ("sad",), {"train": members[::2], "dev": members[1::2]})
    assert without_dev_of((), split) == split
    assert [u.corpus for u in without_dev_of(("emovo",), split).dev] == ["emodb"]
    for names, says in ((("emodbb",), "emodbb"), (("emodb", "emovo"), "no development clip")):
        with pytest.raises(InputError, match=says):
            without_dev_of(names, split)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"teacher": {"layers": ()}}, "layers"),
        ({"teacher": {"layers": (4, 3)}}, "layers"),
        ({"teacher": {"answers": -1.0}}, "answers"),
        ({"teacher": {"encoder": "x", "answers": 0.0, "embedding": 0.0}}, "answers .*embedding"),
        ({"teacher": {"only": ("emodb",)}}, "only"),
        ({"teacher": {"encoder": "x"}, "loss": {"teachers": ("run",)}}, "loss.teachers .*teacher.encoder"),
        ({"loss": {"label_share": 0.5}}, "label_share"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, says):
    with pytest.raises(InputError, match=says):
        from_dict(RunConfig, settings)
