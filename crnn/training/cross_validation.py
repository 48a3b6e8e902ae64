"""Folds and seeds of a protocol as runs of train.py below one folder, and the figures pooled over them. No torch.

crossval.json                   settings and, when it has ended, every figure
PROTOCOL-foldN-seedM/           a run folder
PROTOCOL-foldN-seedM.log        what train.py wrote to its standard streams
"""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crnn.data.own_entries import OWN
from crnn.data.prepare import locate_data, read_any
from crnn.data.protocols import make_split, n_folds, protocol_facts
from crnn.errors import InputError, require
from crnn.files.strict import read_json
from crnn.pooled import FIGURES, over_seeds
from crnn.training.jobs import TrainingJob
from crnn.training.run_folder import LARGEST, RunFolder, refuse_others

RESULT = "crossval.json"
SCHEMA = 1
LOCK = ".lock"


@dataclass(frozen=True)
class Plan:
    """Which runs there are, and with which settings."""

    path: Path
    """The folder that holds them"""
    protocol: str
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    given: dict[str, str]
    """Corpus -> folder, as `crnn.data.prepare.given_folders` reads --data"""
    settings: dict = field(default_factory=dict)
    """Of the configuration and of --set, by which the folder is recognized"""
    arguments: tuple[str, ...] = ()
    """Of train.py: the same settings as options"""
    test: bool = True
    """Whether its runs read their test speakers"""

    def job(self, fold: int, seed: int) -> TrainingJob:
        data = locate_data(self.protocol, fold, self.given)
        entries = [place if name == OWN else f"{name}:{place}" for name, place in data.items()]
        which = ("--protocol", self.protocol, "--fold", str(fold), "--seed", str(seed))
        reads = ("--test", str(self.test).lower())
        folder = self.path / f"{self.protocol}-fold{fold}-seed{seed}"
        return TrainingJob(folder, (*self.arguments, *which, *reads, "--data", *entries))

    def jobs(self) -> dict[TrainingJob, tuple[int, int]]:
        """Each run with its fold and seed; seed by seed, so that the first figures come early."""
        return {self.job(fold, seed): (fold, seed) for seed in self.seeds for fold in self.folds}

    def check_speakers(self, layout: str) -> None:
        """Raise InputError unless every fold has training and development recordings and, if they are read, test
        recordings; none is decoded."""
        read: dict[tuple[str, str], list] = {}
        across = protocol_facts(self.protocol).get("folds")
        for fold in self.folds:
            require(
                not self.test or not across or bool(across[fold]["test"]),
                f"{self.protocol} fold {fold} has no test speaker, so there is nothing to pool; give another protocol",
            )
        for fold in self.folds:
            places = locate_data(self.protocol, fold, self.given).items()
            for name, place in places:
                if (name, place) not in read:
                    read[name, place] = list(read_any(name, place, layout).utterances)
            split = make_split(self.protocol, fold, [u for key in places for u in read[key]])
            require(
                not self.test or len(split.test) > 0,
                f"{self.protocol} fold {fold}: no test recordings, so there is nothing to pool",
            )

    def open_folder(self, made: dict) -> int:
        """Claim the folder for these settings, or continue in it; `made` is the origin of the command. Returns the file
        descriptor of the folder's lock, which holds as long as it is open in any process.

        Raises InputError if the folder holds anything else, or other runs, or if runs are going on there.
        """
        path, stored = self.path, self.path / RESULT
        require(not path.exists() or path.is_dir(), f"{path}: is a file; give another --out")
        names = {entry.name for entry in path.iterdir()} - {LOCK} if path.is_dir() else set()
        require(
            not names or stored.is_file(),
            f"{path}: is neither empty nor a folder of crnn.crossval; nothing is written there, give another --out",
        )
        if stored.is_file():
            before = read_json(stored, LARGEST)
            require(before.get("schema") == SCHEMA, f"{stored}: of another version; give another --out")
            then = {key: before.get(key) for key in ("protocol", "settings")}
            refuse_others(path, then, {"protocol": self.protocol, "settings": self.settings})
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise InputError(f"{path}: runs are going on there; wait until they end, or give another --out") from error
        if not stored.is_file():
            self.write(made | {"runs": [], "failed": [], "pooled": None})
        return lock

    def write(self, values: dict) -> dict:
        """Store `values` beside the settings; returns all of them."""
        about = {"schema": SCHEMA, "protocol": self.protocol, "settings": self.settings}
        place = {"n_folds": n_folds(self.protocol), "folds": list(self.folds), "seeds": list(self.seeds)}
        made = about | place | values
        RunFolder(self.path).write(RESULT.removesuffix(".json"), made)
        return made


def judged(metrics: dict, test: bool) -> dict:
    """The figures by which a run is judged: those of its test speakers, or of its development speakers, where a corpus
    was left out those of that corpus."""
    return metrics["test"] if test else metrics.get("dev_unseen", metrics["dev"])


def result(plan: Plan, failed: dict[tuple[int, int], str]) -> dict:
    """The figures of each run on its test speakers, and those pooled over the folds of every seed that has all of them.

    `pooled` is None while no seed is complete. Raises InputError if two seeds of one fold had other recordings.
    """
    runs: list[dict] = []
    confusions: dict[int, dict[int, dict]] = {}
    for job, (fold, seed) in plan.jobs().items():
        if job.finished():
            made = RunFolder(job.folder).finished_metrics(test=True)
            figures = {key: made["test"].get(key) for key in ("n_clips", *FIGURES)}
            about = {"fold": fold, "seed": seed, "folder": job.folder.name, "split_hash": made["split_hash"]}
            runs.append(about | {"dev_uar": made["dev"]["uar"]} | figures)
            confusions.setdefault(seed, {})[fold] = made["test"]
    for fold in plan.folds:
        hashes = sorted({run["split_hash"] for run in runs if run["fold"] == fold})
        require(
            len(hashes) <= 1,
            f"{plan.path}: the seeds of fold {fold} had other recordings (splits {', '.join(hashes)}); remove the runs "
            "of one split, and give the same command again",
        )
    whole = {seed: list(of.values()) for seed, of in confusions.items() if len(of) == len(plan.folds)}
    return {
        "runs": runs,
        "failed": [{"fold": fold, "seed": seed, "problem": why} for (fold, seed), why in sorted(failed.items())],
        "pooled": pool(whole) if whole else None,
    }


def pool(seeds: dict[int, list[dict]]) -> dict:
    """`crnn.pooled.over_seeds` of seed -> figures of each fold on its test speakers (`crnn.metrics.summarize`).

    A speaker who is tested in several folds counts with all clips. Folds may differ in emotions and in corpora.
    """
    every = [part for parts in seeds.values() for part in parts]
    labels = list(dict.fromkeys(label for part in every for label in part["labels"]))
    several = len({corpus for part in every for corpus in part["per_corpus_uar"]}) > 1
    summed: dict[int, dict[str, Any]] = {}
    for seed, parts in seeds.items():
        of_seed = summed.setdefault(seed, {})
        for part in parts:
            corpora = list(part["per_corpus_uar"])
            prefix = f"{corpora[0]}:" if several and len(corpora) == 1 else ""  # with several it is there
            places = np.array([labels.index(label) for label in part["labels"]])
            for speaker, confusion in part["confusion_by_speaker"].items():
                matrix = of_seed.setdefault(f"{prefix}{speaker}", np.zeros((len(labels), len(labels))))
                matrix[np.ix_(places, places)] += confusion
    figures = over_seeds({seed: [of_seed] for seed, of_seed in summed.items()}, {})
    del figures["per_sex_uar"]  # each run's report has it
    return {"labels": labels, **figures, "uar_fold_mean": float(np.mean([part["uar"] for part in every]))}


def text(made: dict) -> str:
    """The figures as a table."""
    pooled, runs = made["pooled"], made["runs"]
    which = f"{len(made['folds'])} of {made['n_folds']} folds, {_seeds(len(made['seeds']))}"
    lines = [f"{made['protocol']}, {which}"]
    lines += [_row("fold", ["UAR", "WA", "macro-F1", "WF1", "clips"])]
    for fold in made["folds"]:
        of_fold = [run for run in runs if run["fold"] == fold]
        if of_fold:
            lines.append(_row(fold, [*_means(of_fold), of_fold[0]["n_clips"]]))
    if pooled:
        lines.append(_row("all", [*(_percent(pooled[name]) for name in FIGURES), pooled["n_clips"]]))
        for place, end in enumerate(("from", "to")):
            limits = [_percent(pooled[f"{name}_ci95"][place]) if pooled[f"{name}_ci95"] else "-" for name in FIGURES]
            lines.append(_row(end, limits))
        spread = pooled["uar_sd_over_seeds"]
        lines += [
            "",
            f"all: every clip of {pooled['n_speakers']} test speakers, mean of {_seeds(len(pooled['seeds']))}"
            + (f" (UAR +- {100 * spread:.1f})" if spread is not None else "")
            + "; from, to: 95 % interval over speakers",
            f"mean UAR of the folds {_percent(pooled['uar_fold_mean'])}; lowest speaker {pooled['worst_speaker']}, "
            f"{_percent(pooled['worst_speaker_uar'])}",
        ]
    else:
        lines.append("no seed has all folds: nothing is pooled")
    lines += [f"FAILED: fold {each['fold']} seed {each['seed']}: {each['problem']}" for each in made["failed"]]
    return "\n".join(lines)


def _row(name: object, cells: Sequence[object]) -> str:
    return f"{name:<6}" + "".join(f"{cell:>10}" for cell in cells)


def _means(runs: list[dict]) -> list[str]:
    return [_percent(float(np.mean([run[name] for run in runs]))) for name in FIGURES]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"
