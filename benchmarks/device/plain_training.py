"""Training steps of the model that ships in plain PyTorch, without data, augmentation or Lightning: the reference of
`benchmarks.device.batch`, which starts this program. Writes JSON to `--out`.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from benchmarks.export.shipped_layers import same_layers
from crnn.cli.command import command
from crnn.errors import require
from crnn.run_config import OptimConfig
from edge.bundle import PRETRAINED, Bundle

BATCH_SIZE = 32
"""As in configs/recipe.yaml"""


def clips_per_second(clips: int) -> float:
    """Of one batch of random windows, again and again, on one thread."""
    torch.set_num_threads(1)
    manifest, optim = Bundle.open(PRETRAINED).manifest, OptimConfig()
    model, g = same_layers(manifest).train(), manifest.geometry
    optimizer = torch.optim.AdamW(model.parameters(), lr=optim.learning_rate, weight_decay=optim.weight_decay)
    log_mel = torch.randn(BATCH_SIZE, manifest.features.n_mels, g.frames_for(g.window_steps))
    labels = torch.randint(len(manifest.labels), (BATCH_SIZE,))
    steps, start = -(-clips // BATCH_SIZE), time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(log_mel), labels).backward()
        optimizer.step()
    return steps * BATCH_SIZE / (time.perf_counter() - start)


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    require(args.clips >= 1, f"--clips {args.clips}: give at least 1")
    args.out.write_text(json.dumps({"clips_per_second": clips_per_second(args.clips)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
