"""A search for the settings with the highest UAR of the development speakers, by Optuna. No torch.

crossval.json    settings and, when the search has ended, every trial and the best one
best.yaml        the settings of the best trial, for train.py --config
study.db         Optuna's study: what was tried so far
trial-NNN/       settings.yaml and the runs of a trial, without their test speakers
"""

import json
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.files.atomic import write_text
from crnn.training.cross_validation import Plan, judged
from crnn.training.run_folder import RunFolder
from crnn.training.search_space import Dimension, with_values

log = logging.getLogger("crossval")

STUDY = "study.db"
BEST = "best.yaml"
SAMPLER_SEED = 0
Train = Callable[[Plan], dict[tuple[int, int], str]]
"""Trains what is missing of a plan; (fold, seed) -> problem of the runs that failed"""


@dataclass(frozen=True)
class Search:
    """Which trials there are to be."""

    plan: Plan
    """Folder, protocol, folds and seeds of every trial; its settings are those that all trials share"""
    dimensions: tuple[Dimension, ...]
    trials: int
    seed: int = SAMPLER_SEED
    """Of the sampler"""
    optuna: Any = field(default_factory=lambda: _optuna())
    """The package. Raises InputError where it is missing"""

    @property
    def folder_plan(self) -> Plan:
        """The plan by which the folder is recognized: whatever changes a figure or the order of the trials."""
        space = {dimension.name: _plain(dimension) for dimension in self.dimensions}
        about = {"space": space, "folds": self.plan.folds, "seeds": self.plan.seeds, "sampler_seed": self.seed}
        return replace(self.plan, settings=self.plan.settings | {"search": about})

    def run(self, train: Train) -> dict:
        """Train the trials that are missing; returns them with the best one, whose settings are stored.

        A trial that was interrupted, or of which a run failed, is continued first. Raises InputError if no trial could
        be finished, or the study cannot be read.
        """
        failed: list[dict] = []
        try:
            study = self._open_study()
            while (trial := self._next(study, {each["trial"] for each in failed})) is not None:
                failed += self._try(study, trial, train)
        except (self.optuna.exceptions.OptunaError, *_database_errors()) as error:
            problem = str(error).splitlines()[0]
            raise InputError(f"{self.plan.path / STUDY}: cannot be used ({problem}); give another --out") from error
        trials = [self._described(each) for each in self._finished(study)]
        require(bool(trials), f"no trial could be finished: {failed[0]['problem'] if failed else ''}")
        best = max(trials, key=lambda trial: trial["dev_uar"])
        write_text(self.plan.path / BEST, (self._folder(best["number"]) / "settings.yaml").read_text("utf-8"))
        return {"trials": trials, "best": best, "failed": failed}

    def _open_study(self) -> Any:
        from sqlalchemy import URL  # Optuna brings it

        self.optuna.logging.set_verbosity(self.optuna.logging.WARNING)
        url = URL.create("sqlite", database=str(self.plan.path / STUDY)).render_as_string()
        return self.optuna.create_study(storage=url, study_name="search", direction="maximize", load_if_exists=True)

    def _next(self, study: Any, tried: set[int]) -> Any:
        """The next trial that is not finished, as Optuna has it; None if there are enough. `tried` failed just now."""
        state = self.optuna.trial.TrialState
        for each in study.get_trials(deepcopy=False, states=(state.RUNNING,)):
            if len(each.params) < len(self.dimensions):  # ended while its values were being chosen
                study.tell(each.number, state=state.FAIL)
            elif each.number not in tried:
                return each
        if len(study.get_trials(deepcopy=False, states=(state.RUNNING, state.COMPLETE))) >= self.trials:
            return None
        # A sampler for each trial, so that a search that was interrupted chooses as one that was not.
        number = len(study.get_trials(deepcopy=False))
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        study.sampler = self.optuna.samplers.TPESampler(seed=seed)
        return study.ask({dimension.name: self._distribution(dimension) for dimension in self.dimensions})

    def _distribution(self, dimension: Dimension) -> Any:
        kinds = self.optuna.distributions
        if not dimension.ends:
            return kinds.CategoricalDistribution([json.dumps(choice) for choice in dimension.choices])
        whole = all(isinstance(end, int) for end in dimension.ends)
        kind = kinds.IntDistribution if whole else kinds.FloatDistribution
        return kind(*dimension.ends, log=dimension.log)

    def _try(self, study: Any, trial: Any, train: Train) -> list[dict]:
        """Train a trial; returns the runs that failed, and leaves it open for the next time if there are any."""
        values, number = self._values(trial), trial.number
        log.info("trial %d (of %d trials): %s", number, self.trials, _shown(values))
        settings = {"protocol": self.plan.protocol} | with_values(self.plan.settings, values)
        path = self._folder(number) / "settings.yaml"
        write_text(path, _yaml(settings, f"Trial {number} of {self.plan.path.name}: {_shown(values)}"))
        plan = replace(
            self.plan,
            path=self._folder(number),
            settings=settings,
            arguments=("--config", str(path), *self.plan.arguments),
            test=False,
        )
        problems = train(plan)
        if not problems:
            study.tell(number, self._figure(plan))
            return []
        problem = next(iter(problems.values()))
        require(
            len(problems) < len(plan.jobs()) or bool(self._finished(study)),
            f"trial {number} ({_shown(values)}) cannot be trained: {problem}",
        )
        return [
            {"trial": number, "fold": fold, "seed": seed, "problem": why}
            for (fold, seed), why in sorted(problems.items())
        ]

    def _figure(self, plan: Plan) -> float:
        """Mean UAR of the development speakers over the runs, which have read no test speaker."""
        figures = []
        for job in plan.jobs():
            metrics = RunFolder(job.folder).finished_metrics(test=False)
            require(
                "test" not in metrics,
                f"{job.folder}: has read its test speakers, so it cannot choose settings; remove it, and give the same "
                "command again",
            )
            figures.append(judged(metrics, test=False)["uar"])
        return float(np.mean(figures))

    def _finished(self, study: Any) -> list[Any]:
        return study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.COMPLETE,))

    def _described(self, trial: Any) -> dict:
        folder = self._folder(trial.number).name
        return {"number": trial.number, "folder": folder, "values": self._values(trial), "dev_uar": trial.value}

    def _values(self, trial: Any) -> dict[str, Any]:
        chosen = {dimension.name: trial.params[dimension.name] for dimension in self.dimensions}
        return {d.name: chosen[d.name] if d.ends else json.loads(chosen[d.name]) for d in self.dimensions}

    def _folder(self, number: int) -> Path:
        return self.plan.path / f"trial-{number:03d}"


def text(made: dict) -> str:
    """The trials as a table, the best one first."""
    names = list(made["best"]["values"])
    ranked = sorted(made["trials"], key=lambda trial: -trial["dev_uar"])
    rows = [["trial", "dev UAR", *names]]
    rows += [
        [str(trial["number"]), f"{100 * trial['dev_uar']:.1f}", *(_short(trial["values"][name]) for name in names)]
        for trial in ranked
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    folds, seeds = (", ".join(map(str, made[key])) for key in ("folds", "seeds"))
    lines = [f"{made['protocol']}, mean UAR of the development speakers (folds {folds}; seeds {seeds})", *lines]
    lines += [
        f"FAILED: trial {each['trial']} fold {each['fold']} seed {each['seed']}: {each['problem']}"
        for each in made["failed"]
    ]
    return "\n".join(lines)


def _plain(dimension: Dimension) -> dict:
    return {name: value for name, value in asdict(dimension).items() if name != "name"}


def _shown(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def _yaml(settings: dict[str, Any], title: str) -> str:
    import yaml

    return f"# {title}\n{yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)}"


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise InputError(f"--trials needs {error.name}: {install('optuna')}") from error
    return optuna


def _database_errors() -> tuple[type[Exception], ...]:
    from sqlalchemy.exc import SQLAlchemyError

    return (SQLAlchemyError,)
