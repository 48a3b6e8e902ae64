"""What the tests share: a generated corpus, one trained run, one bundle per format, and the real recordings if any."""

import gc
import os
import shlex
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two small teams of threads on two cores only spin
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the scripts are started often: compile the modules once

import pytest
import warm_scripts
from helpers import SMALL, example, make_bundle, script
from hypothesis import settings
from slow_files import SLOW

settings.register_profile("no deadline", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("no deadline")
# What a shell starts in the background, or under nohup, ignores these; the scripts that tests end with them must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config):
    """One process imports what the tests, train.py and quantize.py need; the workers are forked from it."""
    if getattr(config.option, "numprocesses", None) and Path("/proc/self/fd").is_dir():  # no worker has the option
        warm_scripts.offer()
        config.option.tx = [f"popen//python={shlex.join(warm_scripts.command())}"] * config.option.numprocesses


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """`-n auto`: one more than processors, because some tests wait (for a microphone, a server, a browser)."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items):
    """Slow files first, so that no worker is left with one at the end (with xdist's `--no-loadscope-reorder`)."""
    rank = {Path(__file__).parent / name: number for number, name in enumerate(SLOW)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish():
    """What every file imported stays; the garbage collector need not go through it again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def built_once(tmp_path_factory):
    """`built_once(name, build)`: a folder that `build(folder)` makes in one of pytest's workers, for all of them."""
    from filelock import FileLock  # of the train extra

    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)

    def get(name: str, build) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # another worker failed to build it
                build(folder)
                done.touch()
        return folder

    return get


@pytest.fixture(scope="session")
def voices(built_once) -> Path:
    """128 SYNTHETIC clips of 8 voices."""
    from crnn.synthetic import write_corpus

    return built_once("voices", lambda folder: write_corpus(folder, speakers=8, takes=1, seconds=1.2))


@pytest.fixture(scope="session")
def small_run(built_once, voices, cache) -> Path:
    """A small model that also estimates arousal, trained for two epochs by train.py."""

    def build(folder: Path) -> None:
        data = ("--data", f"synthetic:{voices}", "--out", folder, "--cache", cache)
        result = script("train.py", *SMALL, *data, "--optim.epochs", "2")
        assert result.returncode == 0, result.stderr[-3000:]

    return built_once("run", build)


@pytest.fixture(scope="session")
def bundle_path(built_once, small_run, cache) -> Path:
    """An int8 bundle: ONNX, and TFLite where its extra is installed."""

    def build(folder: Path) -> None:
        result = make_bundle(small_run, folder, cache)
        assert result.returncode == 0, result.stderr[-3000:]

    return built_once("bundle", build)


@pytest.fixture
def bundle_without_arousal(tmp_path) -> Path:
    """The shipped float32 files, sealed as a bundle of schema 4, in which the column of the arousal is one more of the
    pooled vector."""
    from edge.bundle import PRETRAINED, Bundle, build_recognizer, seal

    float32, folder = PRETRAINED.parent / "float32", tmp_path / "without-arousal"
    folder.mkdir()
    for name in ("encoder.float32.onnx", "head.float32.onnx", "speakers.npz"):
        shutil.copy(float32 / name, folder)
    shipped = Bundle.open(float32).manifest
    manifest = replace(shipped, models={"onnx": shipped.models["onnx"]}, files={}, schema=4, arousal=False)
    seal(folder, manifest, build_recognizer(float32, manifest, "onnx", 1))
    return folder


@pytest.fixture(scope="session")
def own_example(built_once) -> Path:
    """What examples/own_recordings.sh makes of recordings in `mine`, in little training: `out/run`, `out/bundle` and
    what it `printed`."""
    pytest.importorskip("torch", reason="needs the extras train and export")
    from crnn.synthetic import write_own

    def build(folder: Path) -> None:
        write_own(folder / "mine", speakers=6)
        cache = f"--cache {folder / 'cache'}"
        options = {
            "TRAIN_OPTIONS": f"{cache} --optim.epochs 1 --optim.epoch_clips 32 --augment.copies 2",
            "QUANTIZE_OPTIONS": f"{cache} --formats onnx --max-uar-drop 1",
        }
        python = folder / "programs" / "python"  # forks train.py and quantize.py
        python.parent.mkdir()
        warm = f'train.py|quantize.py) exec {shlex.join(warm_scripts.command())} "$@";;'
        python.write_text(f'#!/bin/sh\ncase $1 in {warm} *) exec {shlex.quote(sys.executable)} "$@";; esac\n')
        python.chmod(0o755)
        printed = example("own_recordings.sh", folder / "mine", folder / "out", programs=python.parent, **options)
        (folder / "printed").write_text(printed)

    return built_once("own-example", build)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The real recordings."""
    folder = os.environ.get("SER_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real recordings: set SER_DATA to the folder that holds ravdess/, emodb/ ...")
    return Path(folder).resolve()
