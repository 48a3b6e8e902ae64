"""The generated corpus: labelled synthetic, the same from the same seed, and never written over something else."""

import numpy as np
import pytest

from crnn.data.corpora import read_corpus
from crnn.errors import InputError
from crnn.synthetic import RECIPES, synthesize, write_corpus


def test_corpus_reads_as_synthetic_and_says_so(tmp_path):
    assert write_corpus(tmp_path / "v", speakers=2, takes=1, seconds=0.5) == 2 * 8 * 2
    assert "SYNTHETIC" in (tmp_path / "v" / "SYNTHETIC.txt").read_text()
    corpus = read_corpus("synthetic", tmp_path / "v")
    assert {u.emotion for u in corpus.utterances} == set(RECIPES)
    assert not corpus.skipped
    write_corpus(tmp_path / "v", speakers=2, takes=1, seconds=0.5)


def test_voices_repeat_and_stay_in_range():
    one, same = (synthesize("angry", 3, 0.5, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(one, same)
    assert one.dtype == np.float32
    assert 0.01 < np.abs(one).max() <= 1
    assert not np.array_equal(one, synthesize("sad", 3, 0.5, np.random.default_rng(1)))


def test_refuses_a_folder_with_something_else(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        write_corpus(tmp_path)
