"""Datasets: targets, cutting, and clips that are the same in whichever process they are made."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from augment.pipeline import AugmentConfig, WaveformAugment
from crnn.cache import open_cache
from crnn.config import InputError
from crnn.corpora import Utterance, read_corpus
from crnn.data import EvalClips, TrainClips, band_statistics, eval_loader, fit_length, target_matrix, train_loader
from crnn.features import LogMel
from crnn.protocols import make_split
from crnn.run_config import LoopConfig, LossConfig, OptimConfig, RunConfig

NAMES = ("neutral", "happy", "sad")


def voted(*votes) -> Utterance:
    return Utterance(Path("/x/a.wav"), "crema_d", "1001", "male", "happy", votes=votes or None)


def test_targets_are_intended_or_voted():
    one = voted(("neutral", 0.5), ("happy", 0.25), ("angry", 0.25))
    assert target_matrix([one], NAMES, LossConfig()).tolist() == [[0, 1, 0]]
    votes = LossConfig(targets="votes")
    assert target_matrix([one], NAMES, votes)[0].tolist() == pytest.approx([2 / 3, 1 / 3, 0]), "angry is not a label"
    for without in (voted(), voted(("angry", 1.0))):
        with pytest.raises(InputError, match="/x/a.wav: no listeners' votes"):
            target_matrix([without], NAMES, votes)


@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 99))
def test_fit_length_cuts_or_pads_without_losing_order(n, length, seed):
    made = fit_length(np.arange(1, n + 1, dtype=np.float32), length, np.random.default_rng(seed))
    assert len(made) == length
    kept = made[made > 0]
    assert len(kept) == min(n, length)
    assert np.array_equal(np.diff(kept), np.ones(len(kept) - 1))


@pytest.fixture(scope="module")
def world(voices, cache):
    utterances = read_corpus("synthetic", voices).utterances
    return open_cache(utterances, 16000, cache), make_split("synthetic-demo", 0, utterances)


def loader_for(world, workers: int, rank: int = 0, world_size: int = 1):
    config = replace(RunConfig(), loop=LoopConfig(num_workers=workers), optim=OptimConfig(batch_size=4))
    augment = AugmentConfig(noise=False, room=False, gain_p=1.0)
    return train_loader(TrainClips(*world, config, partial(WaveformAugment, augment, 16000)), config, rank, world_size)


def test_a_clip_is_the_same_in_whichever_process_it_is_made(world):
    here, elsewhere = (list(loader_for(world, workers)) for workers in (0, 2))
    assert len(here) == len(elsewhere) > 3
    for (a, target_a), (b, target_b) in zip(here, elsewhere, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(target_a, target_b)


def test_epochs_differ_and_processes_share_the_clips(world):
    loader = loader_for(world, 0)
    first = next(iter(loader))[0]
    loader.sampler.set_epoch(1)
    assert not torch.equal(first, next(iter(loader))[0])
    shares = [{index for _, index in loader_for(world, 0, rank, 2).sampler} for rank in (0, 1)]
    assert shares[0] | shares[1] == set(range(len(world[1].train)))
    assert len(shares[0] & shares[1]) <= 1


def test_evaluation_sees_every_clip_whole_and_padded_as_flush_pads(world):
    cache, split = world
    clips, g = EvalClips(cache, split.dev, split.labels), RunConfig().geometry
    seen = 0
    for waveforms, lengths, labels in eval_loader(clips, g, batch_size=5):
        assert waveforms.shape[1] == g.padded_samples(int(lengths.max()))
        for waveform, length, label in zip(waveforms, lengths, labels, strict=True):
            assert np.array_equal(waveform[:length].numpy(), clips.waveform(seen))
            assert not waveform[length:].any()
            assert split.labels[label] == clips.utterances[seen].emotion
            seen += 1
    assert seen == len(split.dev)


def test_band_statistics_are_of_the_training_speakers(world):
    cache, split = world
    log_mel = LogMel(RunConfig().features)
    mean, scale = band_statistics(cache, split, log_mel)
    everything = np.concatenate([log_mel(cache.waveform(u.name)) for u in split.train], axis=1)
    assert mean[:, 0] == pytest.approx(everything.mean(axis=1), abs=1e-3)
    assert 1 / scale[:, 0] == pytest.approx(everything.std(axis=1), rel=1e-3)
