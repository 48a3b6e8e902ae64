"""What the tests share: a generated corpus, one trained run, one bundle per format, and the real recordings if any."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    "--protocol", "synthetic-demo", "--augment.noise", "false", "--augment.room", "false",
    "--model.channels", "[8,8,8,8]", "--model.lstm_units", "16", "--model.attention_units", "8",
    "--optim.batch_size", "16", "--optim.ema_decay", "0.8", "--loop.num_workers", "0",
]  # fmt: skip


def script(name: str, *arguments, cwd: Path = ROOT, **options) -> subprocess.CompletedProcess:
    """Run one of the three scripts as a user would, and return what it printed."""
    return subprocess.run(
        [sys.executable, str(ROOT / name), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=options.pop("text", True),
        timeout=600,
        check=False,
        **options,
    )


def one_clear_line(result: subprocess.CompletedProcess, *parts: str) -> None:
    """Bad input: exit code 2, no traceback, a last line that names what is wrong."""
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 2, result.stderr[-2000:]
    assert "Traceback" not in result.stderr
    assert last.startswith("error: "), result.stderr[-2000:]
    for part in parts:
        assert part in last, last


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


def make_bundle(run: Path, out: Path, cache: Path, *arguments) -> subprocess.CompletedProcess:
    return script(
        "quantize.py", run, "--out", out, "--cache", cache, "--fine-tune-epochs", "1", "--max-uar-drop", "1", *arguments
    )


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory, small_run, cache) -> Path:
    """A pruned dynamic_int8 bundle: ONNX, and TFLite where its extra is installed."""
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
