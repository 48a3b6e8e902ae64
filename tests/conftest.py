"""What the tests share: a generated corpus, one trained run, one bundle per format, and the real recordings if any."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two small teams of threads on two cores only spin

import pytest
from helpers import SMALL, make_bundle, script
from hypothesis import settings

settings.register_profile("no deadline", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def voices(tmp_path_factory) -> Path:
    """128 SYNTHETIC clips of 8 voices."""
    from crnn.synthetic import write_corpus

    folder = tmp_path_factory.mktemp("corpus") / "voices"
    write_corpus(folder, speakers=8, takes=1, seconds=1.2)
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory, voices, cache) -> Path:
    """A small model trained for two epochs by train.py."""
    out = tmp_path_factory.mktemp("runs") / "run"
    result = script(
        "train.py", *SMALL, "--data", f"synthetic:{voices}", "--out", out, "--cache", cache, "--optim.epochs", "2"
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return out


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory, small_run, cache) -> Path:
    """A pruned int8 bundle: ONNX, and TFLite where its extra is installed."""
    out = tmp_path_factory.mktemp("bundles") / "bundle"
    result = make_bundle(small_run, out, cache, "--prune", "0.5")
    assert result.returncode == 0, result.stderr[-3000:]
    return out


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The real recordings."""
    folder = os.environ.get("SER_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real recordings: set SER_DATA to the folder that holds ravdess/, emodb/ ...")
    return Path(folder).resolve()
