"""Train every fold of a protocol with several seeds, and pool the figures of the test speakers.

    python -m crnn.crossval recipe.yaml --protocol emodb-loso --seeds 3 --out runs/emodb
    python -m crnn.crossval recipe.yaml --protocol emodb-loso --seeds 3 --out /shared/emodb --on ray://host1:10001
    python -m crnn.crossval own-data.yaml --protocol own-data --data csv:FILE --out runs/mine --set optim.epochs=30

Each fold and seed is a run of train.py, in a process of its own. Whatever ended it, the same command continues: runs
that are finished are used as they are. A run that fails is named; the others go on.

Exit codes: 0 every run is finished; 2 bad input, or runs failed; 128 + the signal's number after a signal.
"""

from crnn.cli.interrupt import starting

if __name__ == "__main__":
    starting()

import argparse
import json
import logging
import math
import os
import sys
from contextlib import closing, nullcontext
from pathlib import Path

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser, find_config, install
from crnn.cli.termination import Termination
from crnn.data.prepare import given_folders
from crnn.data.protocols import corpora_of, n_folds
from crnn.errors import InputError, require
from crnn.renamed_keys import with_new_keys
from crnn.run_config import LAYOUT
from crnn.training.cross_validation import Plan, result, text
from crnn.training.jobs import Outcome, Place, Processes, run_jobs
from crnn.training.origin import origin
from crnn.training.ray_cluster import RayCluster
from crnn.training.run_folder import RunFolder

log = logging.getLogger("crossval")

OURS = ("config", "protocol", "fold", "seed", "data", "out", "resume", "test", "cache", "json")
"""Options of train.py that this command gives itself"""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("crnn.crossval", __doc__)
    parser.add_argument(
        "config", metavar="CONFIG", help="settings of train.py: a YAML file, or the name of one that ships"
    )
    parser.add_argument("--protocol", help="named speaker-independent split (default: that of CONFIG)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="train seeds 0 to N-1 (default: 1)")
    parser.add_argument("--folds", nargs="+", type=int, metavar="FOLD", help="only these folds (default: all)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="holds all runs and crossval.json")
    parser.add_argument(
        "--data", nargs="+", default=[], metavar="CORPUS:FOLDER", help="where the recordings are, as for train.py"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="further settings of train.py: optim.epochs=30"
    )
    parser.add_argument("--cache", type=Path, help="folder for decoded audio (default: ~/.cache/ser)")
    parser.add_argument("--processes", type=int, help="runs at the same time (default: one per processor)")
    parser.add_argument(
        "--on",
        metavar="ADDRESS",
        help="train on a Ray cluster: ray://HOST:10001, or ray, which starts one on this machine (default: no Ray)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    return parser


def plan_of(args: argparse.Namespace) -> Plan:
    """What the command line asks for. Raises InputError before anything is written."""
    settings = read_settings(args)
    protocol = str(args.protocol or settings.get("protocol") or "")
    require(bool(protocol), f"--protocol is missing, and {args.config} names none")
    require(args.seeds >= 1, f"--seeds is {args.seeds}; give 1 or more")
    require(args.processes is None or args.processes >= 1, f"--processes is {args.processes}; give 1 or more")
    folds = tuple(dict.fromkeys(args.folds or range(n_folds(protocol))))
    for fold in folds:
        corpora_of(protocol, fold)
    arguments = ["--config", str(Path(find_config(args.config)).resolve()), *(f"--{setting}" for setting in args.set)]
    arguments += ["--cache", str(args.cache.resolve())] if args.cache else []
    seeds = tuple(range(args.seeds))
    known_by = {name: value for name, value in settings.items() if name not in OURS}
    plan = Plan(args.out.resolve(), protocol, folds, seeds, given_folders(args.data), known_by, tuple(arguments))
    layout = settings.get("layout", LAYOUT)
    plan.check_speakers(layout if isinstance(layout, str) else LAYOUT)
    return plan


def read_settings(args: argparse.Namespace) -> dict:
    """The settings of the configuration and, under their whole names, those of --set. Raises InputError."""
    try:
        from crnn.files.settings_file import read_section, read_settings_file  # PyYAML
    except ImportError as error:
        raise InputError(f"training needs {error.name}: {install('train')}") from error
    settings = with_new_keys(read_settings_file(Path(find_config(args.config))), args.config)
    for given in args.set:
        name, equals, value = given.partition("=")
        require(bool(name and equals), f"--set {given}: give NAME=VALUE, for example optim.epochs=30")
        require(name not in OURS, f"--set {given}: this command gives {name} itself")
        section, _ = read_section(f"{{{name}: {value}}}", f"--set {given}")
        settings |= section or {}
    return settings


def train_all(plan: Plan, place: Place, most: int) -> dict[tuple[int, int], str]:
    """Train what is missing, logging each run that ends; (fold, seed) -> problem of those that failed."""
    jobs = plan.jobs()
    failed: dict[tuple[int, int], str] = {}
    took: list[float] = []
    log.info(
        "%s: %d runs, %d finished; %d at a time. Ctrl-C ends them, the same command continues",
        plan.protocol,
        len(jobs),
        sum(job.finished() for job in jobs),
        most,
    )
    with closing(run_jobs(jobs, most, place)) as outcomes:
        for number, outcome in enumerate(outcomes, 1):
            fold, seed = jobs[outcome.job]
            if outcome.problem:
                failed[fold, seed] = outcome.problem
            if outcome.seconds:
                took.append(outcome.seconds)
                left = _left(took, len(jobs) - number, most)
                log.info("%d of %d: fold %d seed %d%s%s", number, len(jobs), fold, seed, _said(outcome), left)
    return failed


def _said(outcome: Outcome) -> str:
    if outcome.problem:
        return f" FAILED: {outcome.problem}"
    made = RunFolder(outcome.job.folder).finished_metrics(test=True)
    return f": UAR {made['test']['uar']:.1%}, {outcome.seconds / 60:.1f} min"


def _left(took: list[float], runs: int, most: int) -> str:
    """An estimate of the time that so many runs take."""
    if not runs:
        return ""
    minutes = sum(took) / len(took) * math.ceil(runs / most) / 60
    return f"; about {minutes / 60:.1f} h left" if minutes > 90 else f"; about {math.ceil(minutes)} min left"


def cross_validate(plan: Plan, processes: int | None, on: str | None, made: dict) -> dict:
    """Train what is missing, here or on a Ray cluster, and store the figures, which are returned; `made` is their
    origin."""
    with closing(RayCluster(on, processes)) if on else nullcontext() as cluster:
        processors = cluster.processors if cluster else os.cpu_count() or 1
        most = min(processes or processors, len(plan.jobs()))
        lock = plan.open_folder(made)
        try:
            place = cluster or Processes(max(1, processors // most), lent=(lock,))
            return plan.write(made | result(plan, train_all(plan, place, most)))
        finally:
            os.close(lock)


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.INFO)
    args = build_parser().parse_args(argv)
    plan = plan_of(args)
    ends = Termination()
    try:
        ends.begin()
        made = cross_validate(plan, args.processes, args.on, {"made": origin("crnn.crossval", argv)})
    except KeyboardInterrupt:
        sys.stderr.write(f"{ends.reason}; the same command continues\n")
        return ends.exit_code
    sys.stdout.write((json.dumps(made) if args.json else text(made)) + "\n")
    return 2 if made["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
