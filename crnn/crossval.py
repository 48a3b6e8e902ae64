"""Train every fold of a protocol with several seeds, and pool the figures of the test speakers.

    python -m crnn.crossval recipe.yaml --protocol emodb-loso --seeds 3 --out runs/emodb
    python -m crnn.crossval recipe.yaml --protocol emodb-loso --seeds 3 --out /shared/emodb --on ray://host1:10001
    python -m crnn.crossval own-data.yaml --protocol own-data --data csv:FILE --out runs/mine --set optim.epochs=30
    python -m crnn.crossval own-data.yaml --protocol own-data --data csv:FILE --out runs/search --folds 0 1 \
        --trials 20 --search optim.learning_rate=1e-4:1e-2:log model.lstm_units=16:64 loss.targets=intended,votes

Each fold and seed is a run of train.py, in a process of its own. Whatever ended it, the same command continues: runs
that are finished are used as they are. A run that fails is named; the others go on.

With --trials, settings are searched instead: each trial trains the folds and seeds with other values of --search, and
counts by the UAR of the development speakers. No test speaker is read.

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
from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser, find_config, install
from crnn.cli.termination import Termination
from crnn.data.prepare import given_folders
from crnn.data.protocols import corpora_of, n_folds
from crnn.errors import InputError, require
from crnn.renamed_keys import with_new_keys
from crnn.run_config import LAYOUT
from crnn.training.cross_validation import Plan, judged, result, text
from crnn.training.jobs import Outcome, Place, Processes, run_jobs
from crnn.training.origin import origin
from crnn.training.ray_cluster import RayCluster
from crnn.training.run_folder import RunFolder
from crnn.training.search import Search, Train
from crnn.training.search import text as search_text
from crnn.training.search_space import check_space, read_dimensions

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
    parser.add_argument("--trials", type=int, metavar="N", help="search settings: try N combinations of --search")
    parser.add_argument(
        "--search",
        nargs="+",
        default=[],
        metavar="NAME=VALUES",
        help="what --trials tries: NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C, of the settings of train.py",
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
    unlabelled = any(name.split(".")[0] == "self_supervised" for name in settings)
    require(
        not unlabelled, f"{args.config}: a run without labels (self_supervised) has no figures to pool; use train.py"
    )
    protocol = str(args.protocol or settings.get("protocol") or "")
    require(bool(protocol), f"--protocol is missing, and {args.config} names none")
    require(args.seeds >= 1, f"--seeds is {args.seeds}; give 1 or more")
    require(args.processes is None or args.processes >= 1, f"--processes is {args.processes}; give 1 or more")
    folds = tuple(dict.fromkeys(args.folds or range(n_folds(protocol))))
    for fold in folds:
        corpora_of(protocol, fold)
    arguments = ["--cache", str(args.cache.resolve())] if args.cache else []
    if not args.trials:  # each trial has a file with all settings
        config = str(Path(find_config(args.config)).resolve())
        arguments = ["--config", config, *(f"--{setting}" for setting in args.set), *arguments]
    seeds = tuple(range(args.seeds))
    known_by = {name: value for name, value in settings.items() if name not in OURS}
    given = given_folders(args.data)
    plan = Plan(args.out.resolve(), protocol, folds, seeds, given, known_by, tuple(arguments), test=not args.trials)
    layout = settings.get("layout", LAYOUT)
    plan.check_speakers(layout if isinstance(layout, str) else LAYOUT)
    return plan


def search_of(args: argparse.Namespace, plan: Plan) -> Search | None:
    """The search that the command line asks for, if any. Raises InputError before anything is written."""
    require(bool(args.search) == (args.trials is not None), "--trials and --search belong together; give both")
    if args.trials is None:
        return None
    require(args.trials >= 1, f"--trials is {args.trials}; give 1 or more")
    dimensions = read_dimensions(args.search)
    for dimension in dimensions:
        refuse_ours(dimension.name, f"--search {dimension.name}")
    check_space(plan.settings, dimensions)
    return Search(plan, dimensions, args.trials)


def refuse_ours(name: str, where: str) -> None:
    unread = "; a search reads no test speaker" if name == "test" else ""
    require(name not in OURS, f"{where}: this command gives {name} itself{unread}")


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
        refuse_ours(name, f"--set {given}")
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
                log.info(
                    "%d of %d: fold %d seed %d%s%s", number, len(jobs), fold, seed, _said(outcome, plan.test), left
                )
    return failed


def _said(outcome: Outcome, test: bool) -> str:
    if outcome.problem:
        return f" FAILED: {outcome.problem}"
    made = judged(RunFolder(outcome.job.folder).finished_metrics(test), test)
    return f": {'UAR' if test else 'development UAR'} {made['uar']:.1%}, {outcome.seconds / 60:.1f} min"


def _left(took: list[float], runs: int, most: int) -> str:
    """An estimate of the time that so many runs take."""
    if not runs:
        return ""
    minutes = sum(took) / len(took) * math.ceil(runs / most) / 60
    return f"; about {minutes / 60:.1f} h left" if minutes > 90 else f"; about {math.ceil(minutes)} min left"


def in_folder(plan: Plan, args: argparse.Namespace, made: dict, figures: Callable[[Train], dict]) -> dict:
    """Claim the folder of `plan`, train there what `figures` asks for, here or on a Ray cluster, and store what it
    returns; all that is stored is returned. `made` is the origin of the command."""
    with closing(RayCluster(args.on, args.processes)) if args.on else nullcontext() as cluster:
        processors = cluster.processors if cluster else os.cpu_count() or 1
        most = min(args.processes or processors, len(plan.jobs()))
        lock = plan.open_folder(made)
        try:
            place = cluster or Processes(max(1, processors // most), lent=(lock,))
            return plan.write(made | figures(partial(train_all, place=place, most=most)))
        finally:
            os.close(lock)


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.INFO)
    args = build_parser().parse_args(argv)
    plan = plan_of(args)
    search = search_of(args, plan)
    ends = Termination()
    try:
        ends.begin()
        about = {"made": origin("crnn.crossval", argv)}
        if search:
            made = in_folder(search.folder_plan, args, about, search.run)
        else:
            made = in_folder(plan, args, about, lambda train: result(plan, train(plan)))
    except KeyboardInterrupt:
        sys.stderr.write(f"{ends.reason}; the same command continues\n")
        return ends.exit_code
    sys.stdout.write((json.dumps(made) if args.json else search_text(made) if search else text(made)) + "\n")
    return 2 if made["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
