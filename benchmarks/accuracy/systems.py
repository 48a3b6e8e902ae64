"""The systems that the CRNN is compared with: every file of configs/systems/ on folds of some protocols.

    SER_DATA=FOLDER SER_ENCODER=FOLDER python -m benchmarks.accuracy.systems --protocols emodb-loso --folds 0

Each is trained by train.py, which reads its test speakers once, at the end; nothing is chosen on them. Those that rest
on a pretrained speech encoder take the one in $SER_ENCODER, unless their file names one: these, which need a hub, run
where they are named alone. Resumable; a row per system, protocol, fold and seed to
benchmarks/results/systems.json.
"""

import argparse
import logging
import sys
from pathlib import Path

import yaml

from benchmarks.harness import corpora
from benchmarks.harness.jobs import Job, metrics, run_all
from benchmarks.harness.results import ROOT, add_row
from crnn.cli.command import command
from crnn.data.protocols import n_folds
from crnn.errors import require
from crnn.models.registry import ENCODERS

RESULTS = Path("benchmarks/results")
CONFIGS = ROOT / "configs" / "systems"
SYSTEMS = tuple(path.stem for path in sorted(CONFIGS.glob("*.yaml")))
PROTOCOLS = ("ravdess-luna5", "emodb-loso", "cremad-evar", "leave-one-corpus-out")
KEY = ("system", "protocol", "fold", "seed")
FIGURES = ("uar", "uar_ci95", "wa", "macro_f1", "n_clips")


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--systems", nargs="+", choices=SYSTEMS, default=[name for name in SYSTEMS if not own_encoder(name)]
    )
    parser.add_argument("--protocols", nargs="+", default=list(PROTOCOLS))
    parser.add_argument("--folds", nargs="+", type=int, help="default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for job in run_all(jobs(args.systems, args.protocols, args.folds, args.seeds), args.processes):
        row = row_of(job)
        add_row(RESULTS / "systems.json", row, KEY)
        print(f"{row['system']:24} {job.protocol:20} fold {job.fold} UAR {row['uar']:.3f}", flush=True)
    return 0


def jobs(systems: list[str], protocols: list[str], folds: list[int] | None, seeds: list[int]) -> list[Job]:
    """A run per system, protocol, fold and seed. Raises InputError for a fold that is none, and without recordings."""
    places = [(p, fold) for p in protocols for fold in range(n_folds(p)) if folds is None or fold in folds]
    require(bool(places), f"--folds {folds}: no such fold in {', '.join(protocols)}")
    for protocol, fold in places:
        corpora.folders(protocol, fold)
    return [
        Job(f"system-{name}", protocol, fold, seed, settings_of(name))
        for name in systems
        for protocol, fold in places
        for seed in seeds
    ]


def settings_of(name: str) -> tuple[str, ...]:
    """Settings of train.py for a system."""
    path = CONFIGS / f"{name}.yaml"
    rests = ENCODERS[read(name)["model"]["kind"]].pretrained and not own_encoder(name)
    encoder = ("--system.encoder", str(corpora.speech_encoder())) if rests else ()
    return ("--config", str(path), *encoder)


def own_encoder(name: str) -> str:
    """The pretrained speech encoder that a system's file names, or nothing."""
    return read(name).get("system", {}).get("encoder", "")


def read(name: str) -> dict:
    """The settings of a system's file."""
    return yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))


def row_of(job: Job) -> dict:
    """What a finished run says of its system."""
    made = metrics(job)
    config, _, _ = job.folder.read_config()
    seconds = config.geometry.window_samples / config.features.sample_rate
    return {
        "system": job.recipe.removeprefix("system-"),
        "protocol": job.protocol,
        "fold": job.fold,
        "seed": job.seed,
        "split_hash": made["split_hash"],
        "encoder": next((encoder["name"] for encoder in made["taught_by"]), None),
        "n_params": made["n_params"],
        "frozen_params": made.get("frozen_params", 0),
        "macs_per_second": round(made["macs_per_window"] / seconds),
        "seconds_per_epoch": made["training"]["seconds_per_epoch"],
        "dev_uar": made["dev"]["uar"],
        **{key: made["test"][key] for key in FIGURES},
    }


if __name__ == "__main__":
    sys.exit(main())
