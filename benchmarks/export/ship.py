"""Train the model that ships and make its two bundles: edge/pretrained/float32 and edge/pretrained/int8.

    SER_DATA=FOLDER SER_ENCODER=FOLDER python -m benchmarks.export.ship --quantize-python PYTHON

Protocol all-six-corpora, six emotions. A tenth of the speakers of each corpus is used to choose the threshold and to
verify the export, except of those on which the speech encoder alone teaches; all others are training
speakers.
`--quantize-python` names the Python of an environment with the tflite extra (both runtimes then ship). Also writes the
clip that `make demo` plays. The model card is made afterwards by benchmarks.tables.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import soundfile

from benchmarks.harness import recipes
from benchmarks.harness.corpora import folders
from benchmarks.harness.jobs import run_all
from crnn.cli.command import command
from crnn.errors import require
from crnn.synthetic import SAMPLE_RATE, demo_clip

PRETRAINED = Path("edge/pretrained")
DEMO_CLIP = "synthetic_voice.flac"
TEMPERATURE = 1.0
"""Not fitted: development speakers of corpora that were left out ask for values on both sides of 1"""
BUNDLES = ("float32", "int8")
"""Folders below `PRETRAINED`, named after the scheme of quantize.py"""


def quantize(python: str, run: Path, scheme: str, data: list[str], out: Path) -> list[dict]:
    """Make the bundle `out`; the rows of the files that ship in it. Raises InputError if there is none."""
    command = [python, "quantize.py", run, "--out", out, "--scheme", scheme, "--temperature", TEMPERATURE, "--json"]
    command += ["--data", *data]
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, check=False)
    require(
        done.returncode == 0, f"{run}: quantize.py made no {scheme} bundle (exit code {done.returncode}), see above"
    )
    return [row for row in json.loads(done.stdout)["rows"] if row["ships"]]


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--recipe", choices=recipes.RECIPES, default=recipes.SHIPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quantize-python", default=sys.executable)
    args = parser.parse_args(argv)
    job = recipes.job(args.recipe, "all-six-corpora", 0, args.seed)
    for _ in run_all([job], 1):
        pass
    PRETRAINED.mkdir(parents=True, exist_ok=True)
    data = [f"{corpus}:{folder}" for corpus, folder in folders(job.protocol, job.fold).items()]
    for name in BUNDLES:
        made = PRETRAINED / f".{name}.new"
        shutil.rmtree(made, ignore_errors=True)  # of a run that was killed
        rows = quantize(args.quantize_python, job.folder.path, name, data, made)
        # Only now, so that the bundle before stays if the new one is past a limit.
        shutil.rmtree(PRETRAINED / name, ignore_errors=True)
        made.rename(PRETRAINED / name)
        for row in rows:
            print(f"{name}: {row['runtime']} {row['bytes']:,} bytes, UAR on dev {row['uar']:.3f}", flush=True)
    soundfile.write(PRETRAINED / DEMO_CLIP, demo_clip(), SAMPLE_RATE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
