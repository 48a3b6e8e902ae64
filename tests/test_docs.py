"""The commands that docs/own-data.md gives, in its order, as a newcomer types them (training cut short)."""

import subprocess
import sys

from helpers import ROOT

QUICKLY = ["--optim.epochs", "1", "--optim.epoch_clips", "32", "--augment.views", "2"]


def test_every_command_of_own_data_works(tmp_path):
    for name in ("train.py", "quantize.py", "stream_infer.py", "crnn", "augment", "edge", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    page = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
    commands = [line.split() for line in page.splitlines() if line.startswith("    python ")]
    assert len(commands) == 5
    for _, *words in commands:
        extra = []
        if words[0] == "train.py":
            extra = [*QUICKLY, "--cache", "cache"]
        if words[0] == "quantize.py":
            extra = ["--cache", "cache", "--fine-tune-epochs", "1", "--formats", "onnx", "--max-uar-drop", "1"]
        result = subprocess.run(
            [sys.executable, *words, *extra], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
        )
        assert result.returncode == 0, (words, result.stderr[-2000:])
    assert "angry" in result.stdout
