"""The speaker adversary: its reversed gradient, its weight during training, its speakers, and what is stored of it."""

from dataclasses import replace

import pytest
import torch
from tiny_fit import PLAIN, clips, model_of, resumed_fit, tiny_fit, with_optim

from crnn.config import ModelConfig, from_dict
from crnn.data.loaders import TrainClips
from crnn.data.splits import Split
from crnn.errors import InputError
from crnn.models.registry import build_model
from crnn.run_config import LossConfig, RunConfig
from crnn.training.adversary import SpeakerAdversary, adversary_weight
from crnn.training.checkpoint import model_weights, read_checkpoint
from crnn.training.fit import BEST, LAST
from crnn.training.setup import refuse_before_copies
from crnn.training.task import EmotionTask

ADVERSE = replace(with_optim(epochs=4), loss=replace(PLAIN.loss, adversary_weight=2.0, adversary_epochs=1.0))


def test_the_classifier_learns_and_what_it_learns_from_unlearns():
    torch.manual_seed(0)
    adversary, pooled = SpeakerAdversary(6, 3), torch.randn(8, 6, requires_grad=True)
    speakers = torch.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]]
    plain = torch.nn.functional.cross_entropy(adversary.classifier(pooled), speakers.argmax(dim=1))
    names, layers = zip(*adversary.classifier.named_parameters(), strict=True)
    of_pooled, *of_layers = torch.autograd.grad(plain, [pooled, *layers])
    for weight in (0.0, 0.5, 2.0):
        adversary.weight = weight
        loss = adversary(pooled, speakers)
        assert torch.allclose(loss, plain)
        reversed_, *same = torch.autograd.grad(loss, [pooled, *layers])
        assert torch.allclose(reversed_, -weight * of_pooled)
        assert all(torch.allclose(a, b) for a, b in zip(same, of_layers, strict=True)), names


def test_the_weight_is_0_then_rises_linearly_then_stays():
    loss = LossConfig(adversary_weight=0.3, adversary_epochs=5, adversary_share=0.7)
    weights = [adversary_weight(loss, 40, place) for place in (0, 4.9, 5, 5 + 23 / 4, 16.5, 28, 39.9)]
    assert weights == pytest.approx([0, 0, 0, 0.075, 0.15, 0.3, 0.3])


def test_a_fit_raises_the_weight_step_by_step_and_notes_it(tmp_path):
    """Four steps per epoch; of six epochs the first is without, the weight has risen after 4.2."""
    seen = []

    class Watched(EmotionTask):
        def batch_loss(self, *given):
            seen.append(self.auxiliary.adversary.weight)
            return super().batch_loss(*given)

    config = replace(ADVERSE, optim=replace(ADVERSE.optim, epochs=6))
    task = tiny_fit(config, tmp_path, task_type=Watched)
    assert seen == pytest.approx([2 * min(1, max(0, (step / 4 - 1) / 3.2)) for step in range(24)])
    assert [row["adversary_weight"] for row in task.history] == seen[3::4]


def test_nothing_of_it_is_in_the_model_and_a_resumed_fit_ends_alike(tmp_path):
    config = replace(ADVERSE, optim=replace(ADVERSE.optim, epochs=4, ema_decay=0.5))
    whole = tiny_fit(config, tmp_path / "whole")
    rest = resumed_fit(config, tmp_path / "ended")
    assert any("adversary" in name for name, _ in rest.named_parameters())
    assert all(torch.equal(mine, other) for mine, other in zip(rest.parameters(), whole.parameters(), strict=True))
    for name in (BEST, LAST):
        assert model_weights(tmp_path / "whole" / name).keys() == model_of(config).state_dict().keys()
    assert any("adversary" in name for name in read_checkpoint(tmp_path / "whole" / LAST)["state_dict"])


def test_without_it_training_is_as_before_to_the_bit(tmp_path):
    """Its layers would take random numbers."""
    off = tiny_fit(PLAIN, tmp_path / "off")
    ends = LossConfig(gamma=0.0, class_weights=False, adversary_epochs=3.0, contrast_temperature=0.5)
    other = tiny_fit(replace(PLAIN, loss=ends), tmp_path / "other")
    assert all(torch.equal(mine, its) for mine, its in zip(off.parameters(), other.parameters(), strict=True))
    assert not list(off.auxiliary.parameters())


def test_what_tells_speakers_is_held_back_and_what_tells_emotions_is_not():
    """Seven values, four of which tell the speaker and three the emotion, each behind a gate that is learned."""
    speakers, emotions = torch.eye(4)[torch.arange(96) % 4], torch.eye(3)[torch.arange(96) // 4 % 3]
    heard = torch.cat([speakers, emotions], dim=1)

    def gates(weight: float) -> list[float]:
        torch.manual_seed(0)
        gate, classes, adversary = torch.zeros(7, requires_grad=True), torch.nn.Linear(7, 3), SpeakerAdversary(7, 4)
        adversary.weight = weight
        optimizer = torch.optim.Adam([gate, *classes.parameters(), *adversary.parameters()], lr=0.05)
        for _ in range(60):
            optimizer.zero_grad()
            pooled = gate.sigmoid() * heard + 0.3 * torch.randn(96, 7)
            loss = adversary(pooled, speakers) + torch.nn.functional.cross_entropy(classes(pooled), emotions)
            loss.backward()
            optimizer.step()
        return gate.sigmoid().tolist()

    without, adverse = gates(0.0), gates(1.0)
    assert max(adverse[:4]) < 0.15 < 0.2 < min(without[:4])
    assert min(*adverse[4:], *without[4:]) > 0.85


def test_a_crnn_is_told_to_unlearn_speakers():
    """`tests/test_systems.py` holds the other kinds to the same."""
    config = RunConfig(
        model=ModelConfig(channels=(4, 4, 4, 6), lstm_units=6, attention_units=4), loss=LossConfig(adversary_weight=1.0)
    )
    torch.manual_seed(0)
    task = EmotionTask(config, build_model(config, 3), n_speakers=4)
    log_mel, targets = torch.randn(4, 64, 130), torch.zeros(4, 3)  # no label: the speakers alone teach
    task.auxiliary.adversary.weight = 1.0
    task.batch_loss(log_mel, targets, targets == 0, torch.eye(4)).backward()
    assert all(p.grad.any() for p in task.model.head.lstm.parameters())


def test_speakers_are_those_of_the_training_clips_alone():
    members = clips(8)
    split = Split.of("own-data", 0, ("happy", "neutral", "sad"), {"train": members[:6:2], "dev": members[1::2]})
    train = TrainClips(None, split, ADVERSE)
    assert train.n_speakers == 2, "s0 and s2 of four"
    assert [row(0).tolist() for row in train._others] == [[1.0, 0.0]]


def test_a_training_set_of_one_speaker_is_refused_in_one_line():
    members = clips(8)
    split = Split.of("own-data", 3, ("happy", "neutral", "sad"), {"train": members[::4], "dev": members[1:2]})
    refuse_before_copies(PLAIN, split, None)
    with pytest.raises(InputError, match="own:s0 is the only training speaker of own-data fold 3") as refused:
        refuse_before_copies(ADVERSE, split, None)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        ({"adversary_weight": -1.0}, "loss.adversary_weight is -1"),
        ({"adversary_share": 0.0}, "loss.adversary_share is 0"),
        ({"adversary_weight": 1.0, "adversary_epochs": 42.0}, "loss.adversary_epochs is 42, .* over after 42; give"),
        ({"contrast_weight": -1.0}, "loss.contrast_weight is -1"),
        ({"contrast_temperature": 0.0}, "loss.contrast_temperature is 0"),
        ({"contrast_components": 0}, "loss.contrast_components is 0"),
        ({"continuous": "mae"}, "loss.continuous is 'mae'"),
        ({"continuous_weight": -1.0}, "loss.continuous_weight is -1"),
    ],
)
def test_a_setting_out_of_range_is_one_line(loss, says):
    with pytest.raises(InputError, match=says) as refused:
        from_dict(RunConfig, {"loss": loss})
    assert "\n" not in str(refused.value)


def test_a_short_run_without_adversary_needs_no_epochs_of_it():
    assert with_optim(epochs=1).loss.adversary_epochs == 5.0
