"""Datasets: targets, cutting, and clips that are the same in whichever process they are made."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from augment.config import AugmentConfig
from augment.pipeline import chains
from crnn.config import ModelConfig
from crnn.data.augmented import open_augmented
from crnn.data.cache import open_cache
from crnn.data.corpora import Utterance, read_corpus
from crnn.data.inputs import WaveformInputs
from crnn.data.loaders import (
    EpochSampler,
    EvalClips,
    TrainClips,
    eval_loader,
    first_copies,
    target_matrix,
    train_loader,
)
from crnn.data.protocols import make_split
from crnn.errors import InputError
from crnn.features import LogMel
from crnn.models.crnn import CRNN
from crnn.run_config import LossConfig, OptimConfig, RunConfig

NAMES = ("neutral", "happy", "sad")


def voted(*votes) -> Utterance:
    return Utterance(Path("/x/a.wav"), "crema_d", "1001", "male", "happy", votes=votes or None)


def test_targets_are_intended_or_voted():
    one = voted(("neutral", 0.5), ("happy", 0.25), ("angry", 0.25))
    assert target_matrix([one], NAMES, LossConfig()).tolist() == [[0, 1, 0]]
    votes = LossConfig(targets="votes")
    assert target_matrix([one], NAMES, votes)[0].tolist() == pytest.approx([2 / 3, 1 / 3, 0]), "angry is not a label"
    for without in (voted(), voted(("angry", 1.0))):
        with pytest.raises(InputError, match="/x/a.wav.* votes"):
            target_matrix([without], NAMES, votes)


CONFIG = RunConfig(optim=OptimConfig(batch_size=4))
G = CONFIG.geometry
AUGMENT = AugmentConfig(noise=False, room=False, copies=2)


@pytest.fixture(scope="module")
def world(voices, cache):
    utterances = read_corpus("synthetic", voices).utterances
    return open_cache(utterances, 16000, cache), make_split("synthetic-demo", 0, utterances)


def copies_of(world, folder: Path, config: AugmentConfig = AUGMENT):
    chain = chains(config, 16000, G.window_samples, CONFIG.features.log_offset, CONFIG.features.hop_length)
    audio, split = world
    return open_augmented(audio, split.corpora, CONFIG.features, chain.copy_settings, chain.make_copy_augment, folder)


@pytest.fixture(scope="module")
def copies(world, cache):
    return copies_of(world, cache)


def loader_for(world, copies, rank: int = 0, world_size: int = 1):
    return train_loader(TrainClips(copies, world[1], CONFIG), CONFIG, rank, world_size)


def test_copies_are_stored_as_samples_or_as_the_features_of_these(world, cache):
    audio, split = world
    chain = chains(AUGMENT, 16000, G.window_samples, CONFIG.features.log_offset, CONFIG.features.hop_length)
    given = (audio, split.corpora, CONFIG.features, chain.copy_settings, chain.make_copy_augment, cache)
    features, samples = open_augmented(*given), open_augmented(*given, waveforms=True)
    name = split.train[0].name
    for copy in (0, 1):
        waveform, log_mel = samples.rows(name, copy).astype(np.float32), features.rows(name, copy)
        assert waveform.shape == (len(waveform),)
        assert np.abs(waveform).max() <= 1
        # Rounding adds noise 70 dB below the speech, which shows in silent bands alone.
        assert np.median(np.abs(LogMel(CONFIG.features)(waveform).T - log_mel)) < 0.05
    inputs = WaveformInputs(CONFIG)
    window = inputs.train(name, samples.rows(name, 0), np.random.default_rng(0)).numpy()
    assert window.shape == (G.window_samples,)
    assert any(
        np.array_equal(window, samples.rows(name, 0)[at : at + len(window)].astype(np.float32))
        for at in range(samples.places[name][0][1] - len(window) + 1)
    )


def test_copies_are_the_same_wherever_they_are_computed_and_differ_from_each_other(world, copies, tmp_path):
    again = copies_of(world, tmp_path)
    for u in world[1].train:
        assert copies.count(u.name) == 2
        first, second = (np.array(copies.rows(u.name, copy)) for copy in (0, 1))
        assert np.array_equal(first, again.rows(u.name, 0))
        assert len(first) != len(second) or not np.array_equal(first, second)
        assert len(first) >= G.frames_for(G.window_steps)


def test_copies_are_computed_once_per_setting(world, cache, copies, tmp_path):
    def files() -> set[str]:
        return {path.name for path in cache.iterdir()}

    stored = files()
    copies_of(world, cache)
    assert files() == stored
    copies_of(world, cache, AugmentConfig(noise=False, room=False, copies=2, min_background_db=-60))
    added = files() - stored
    assert {Path(name).suffix for name in added} == {".f16", ".json", ".lock"}
    assert len({Path(name).stem for name in added}) == 1


def test_an_item_is_the_same_in_whichever_order_or_process_it_is_made(world, copies):
    clips = TrainClips(copies, world[1], CONFIG)
    one, other = clips[(3, 17, 5)], TrainClips(copies, world[1], CONFIG)[(3, 17, 5)]
    assert torch.equal(one[0], other[0])
    assert one[0].shape == (64, G.frames_for(G.window_steps))
    assert one[0].dtype == torch.float32
    assert any(not torch.equal(one[0], clips[(epoch, 17, 5)][0]) for epoch in range(4, 8))


def test_epochs_differ_and_processes_share_the_clips(world, copies):
    loader = loader_for(world, copies)
    first = next(iter(loader))[0]
    loader.sampler.set_epoch(1)
    assert not torch.equal(first, next(iter(loader))[0])
    shares = [{index for _, _, index in loader_for(world, copies, rank, 2).sampler} for rank in (0, 1)]
    assert shares[0] | shares[1] == set(range(len(world[1].train)))
    assert not shares[0] & shares[1]


@example([5959, 371, 1628, 240, 336], 0.5, 4000, 0)  # as different as real corpora
@example([5959, 371, 1628, 240, 336], 1.0, 4000, 1)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(8, 60),
    st.integers(0, 9),
)
def test_corpora_take_their_share_of_an_epoch(counts, balance, n_items, epoch):
    groups = np.repeat(np.arange(len(counts)), counts)
    sampler = EpochSampler(groups, balance, n_items, seed=0)
    sampler.set_epoch(epoch)
    items = [index for _, _, index in sampler]
    assert len(items) == n_items == len(sampler)
    drawn = np.bincount(groups[items], minlength=len(counts))
    shares = np.array(counts, dtype=float) ** (1 - balance)
    assert np.abs(drawn - n_items * shares / shares.sum()).max() <= len(counts)
    for group, count in enumerate(counts):  # nothing is repeated before everything has been drawn
        times = np.bincount(items, minlength=len(groups))[groups == group]
        assert times.max() - times.min() <= 1, (count, times)


def test_evaluation_sees_every_clip_whole_between_the_streams_silence(world):
    cache, split = world
    clips = EvalClips(cache, split.dev, split.labels, CONFIG)
    log_mel, silence = LogMel(CONFIG.features), np.log(CONFIG.features.log_offset)
    seen = 0
    for features, lengths, labels in eval_loader(clips, CONFIG, batch_size=5):
        for row, length, label in zip(features.numpy(), lengths, labels, strict=True):
            waveform = clips.waveform(seen)
            levels = np.median(waveform[: G.n_fft]), np.median(waveform[-G.n_fft :])
            expected = log_mel(np.pad(waveform, G.padding(int(length)), constant_values=levels))
            assert np.array_equal(row[:, : expected.shape[1]], expected)
            assert row[:, expected.shape[1] :] == pytest.approx(silence)
            assert split.labels[label] == clips.utterances[seen].emotion
            seen += 1
    assert seen == len(split.dev)


def test_bands_are_learned_from_the_training_speakers(world, copies):
    encoder = CRNN(CONFIG.features, ModelConfig(inputs=("level", "change")), 8).encoder
    encoder.learn_bands(first_copies(copies, world[1]))
    everything = [encoder.inputs(log_mel[None])[0] for log_mel in first_copies(copies, world[1])]
    together = torch.cat(everything, dim=-1)
    assert encoder.band_mean[..., 0].numpy() == pytest.approx(together.mean(dim=-1).numpy(), abs=1e-3)
    assert 1 / encoder.band_scale[..., 0].numpy() == pytest.approx(together.std(dim=-1).numpy(), rel=1e-2)
