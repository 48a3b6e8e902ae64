"""Corpora with different emotions in one training: an emotion that a corpus lacks does not count as a wrong answer."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.mix import Mixup
from crnn import labels
from crnn.config import ModelConfig
from crnn.data.augmented import open_augmented
from crnn.data.cache import open_cache
from crnn.data.corpora import Utterance, read_corpus
from crnn.data.loaders import EvalClips, TrainClips, label_mask
from crnn.data.protocols import make_split
from crnn.models.crnn import CRNN
from crnn.run_config import OptimConfig, RunConfig
from crnn.training.checkpoint import model_weights
from crnn.training.fit import fit
from crnn.training.losses import FocalLoss, balanced_class_weights
from crnn.training.task import EmotionTask

EMOTIONS = {
    "ravdess": tuple(labels.RAVDESS.values()),
    "crema_d": tuple(labels.CREMA_D.values()),
    "emodb": tuple(labels.EMODB.values()),
}
SHARED = ("neutral", "happy", "sad", "angry", "fearful", "disgust")


def recordings_of(corpus: str) -> list[Utterance]:
    return [
        Utterance(Path(f"/x/{n:02d}{e}.wav"), corpus, f"{n:02d}", "female" if n % 2 else "male", e)
        for n in range(20)
        for e in EMOTIONS[corpus]
    ]


@pytest.mark.parametrize(("fold", "held_out"), [(0, "ravdess"), (1, "emodb"), (2, "crema_d")])
def test_training_uses_every_emotion_and_unseen_corpora_are_tested_on_the_shared_ones(fold, held_out):
    utterances = [u for corpus in EMOTIONS for u in recordings_of(corpus)]
    split = make_split("cross-all-labels", fold, utterances)
    assert {u.name for u in (*split.train, *split.dev)} == {u.name for u in utterances if u.corpus != held_out}
    assert set(split.labels) == {u.emotion for u in split.train}
    assert {u.emotion for u in (*split.test, *split.dev_unseen)} == set(SHARED)
    assert split.label_sets[held_out] == SHARED
    mask = label_mask(split.train, split)
    for row, u in zip(mask, split.train, strict=True):
        assert {label for label, open_ in zip(split.labels, row, strict=True) if open_} == set(EMOTIONS[u.corpus])
    six = make_split("cross-leave-one-out", fold, utterances)
    assert not six.label_sets
    assert six.labels == SHARED
    assert [u.name for u in six.dev_unseen] == [u.name for u in split.dev_unseen]
    assert label_mask(six.train, six).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 9), st.sampled_from([0.0, 0.5, 2.0]), st.sampled_from([0.0, 0.1]), st.integers(0, 1000))
def test_the_loss_is_that_of_a_model_without_the_closed_classes(n_classes, gamma, smoothing, seed):
    chance = torch.Generator().manual_seed(seed)
    n_open = int(torch.randint(1, n_classes, (), generator=chance))
    mask = torch.zeros(n_classes, dtype=torch.bool)
    mask[torch.randperm(n_classes, generator=chance)[:n_open]] = True
    logits = (4 * torch.randn(5, n_classes, generator=chance)).requires_grad_()
    targets = torch.zeros(5, n_classes)
    targets[:, mask] = torch.softmax(torch.randn(5, n_open, generator=chance), -1)
    weights = torch.rand(n_classes, generator=chance) + 0.1
    loss = FocalLoss(gamma, weights, smoothing)(logits, targets, mask.expand(5, -1))
    alone = FocalLoss(gamma, weights[mask], smoothing)(logits[:, mask], targets[:, mask])
    assert float(loss.detach()) == pytest.approx(float(alone.detach()), rel=1e-5, abs=1e-6)
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[:, ~mask] == 0).all()


def test_a_class_of_one_corpus_is_weighted_within_it():
    """90 clips of a corpus with two classes, 10 of one with a third class, as frequent there as the others."""
    targets = torch.zeros(102, 3)
    mask = torch.ones(102, 3, dtype=torch.bool)
    targets[:45, 0], targets[45:90, 1], mask[:90, 2] = 1, 1, False
    targets[90:94, 0], targets[94:98, 1], targets[98:, 2] = 1, 1, 1
    assert balanced_class_weights(targets, mask).tolist() == pytest.approx([1, 1, 1])
    assert balanced_class_weights(targets)[2] == pytest.approx(102 / 3 / 4)


def test_two_clips_mixed_compete_among_the_labels_of_both():
    targets, mask = torch.eye(4).repeat(8, 1), torch.tensor([[1.0, 1, 0, 0], [0, 1, 1, 1]])[[0, 0, 1, 1]].repeat(8, 1)
    _, mixed = Mixup(1.0, 1.0)(torch.randn(32, 4, 5), torch.cat([targets, mask], 1), torch.Generator().manual_seed(0))
    targets, mask = mixed[:, :4], mixed[:, 4:] > 0
    assert mask.all(dim=1).any()
    assert not mask.all()
    assert mask[targets > 0].all()


@pytest.mark.parametrize("masked", [True, False])
def test_training_leaves_an_emotion_that_no_clip_could_have_as_it_was(masked, voices, cache, tmp_path):
    utterances = read_corpus("synthetic", voices).utterances
    optim = OptimConfig(epochs=1, weight_decay=0.0, epoch_clips=32)
    small = ModelConfig(channels=(4, 4, 4, 4), lstm_units=4)
    config = RunConfig(model=small, optim=optim)
    audio, split = open_cache(utterances, 16000, cache), make_split("synthetic-demo", 0, utterances)
    own = split.labels
    split = replace(split, labels=(*own, "bored"), label_sets={"synthetic": own} if masked else {})
    least = config.geometry.window_samples

    def make():
        import numpy as np

        return lambda waveform, seed: np.pad(waveform, (0, max(0, least - len(waveform))))

    copies = open_augmented(audio, split.corpora, config.features, {"copies": 1, "test": "masks"}, make, cache)
    torch.manual_seed(0)
    model = CRNN(config.features, small, len(split.labels))
    before = {name: value.clone() for name, value in model.head.classifier.named_parameters()}
    train, dev = TrainClips(copies, split, config), EvalClips(audio, split.dev, split.labels, config)
    weights = balanced_class_weights(train.targets, train.mask)
    mixed = Mixup(0.3, 0.5)

    def augment(log_mel, targets, seed):
        return mixed(log_mel, targets, torch.Generator().manual_seed(seed))

    task = EmotionTask(config, model, weights, augment, dev.corpora, label_mask(dev.utterances, split))
    after = model_weights(fit(task, train, dev, tmp_path).best_checkpoint)
    for name, value in before.items():
        now = after[f"head.classifier.{name}"]
        assert not torch.equal(now[:-1], value[:-1])
        assert torch.equal(now[-1], value[-1]) == masked
