"""Which settings a search may choose, as its command line names them. No torch, no Optuna.

optim.learning_rate=1e-4:1e-2:log    numbers between two ends, evenly by their logarithm
model.lstm_units=16:64               ends without a point: whole numbers
system.pooling=mean,attention        one of several
"""

import json
import math
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from crnn.config import from_dict
from crnn.errors import require
from crnn.renamed_keys import with_new_keys
from crnn.run_config import RunConfig

EXAMPLES = "optim.learning_rate=1e-4:1e-2:log, model.lstm_units=16:64 or system.pooling=mean,attention"
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
LOG = "log"


@dataclass(frozen=True)
class Dimension:
    """One setting, and the values that it may have."""

    name: str
    """As train.py's options have it: optim.learning_rate"""
    ends: tuple[float, float] | None = None
    """Lowest and highest value, both possible; whole numbers if both are of type int"""
    log: bool = False
    """Drawn evenly by its logarithm"""
    choices: tuple[Any, ...] = ()
    """Plain values, in place of `ends`"""

    @property
    def samples(self) -> tuple[Any, ...]:
        """Values of it by which a mistake shows: both ends, or every choice."""
        return self.ends or self.choices


def read_dimensions(given: list[str]) -> tuple[Dimension, ...]:
    """The settings that --search names. Raises InputError for what is none, and for one that is named twice."""
    dimensions = tuple(_read_dimension(each) for each in given)
    names = [dimension.name for dimension in dimensions]
    twice = [name for name in names if names.count(name) > 1]
    require(not twice, f"--search names {twice[0] if twice else ''} twice; give it once")
    return dimensions


def _read_dimension(given: str) -> Dimension:
    name, equals, values = given.partition("=")
    where = f"--search {given}"
    require(bool(name and equals and values), f"{where}: give NAME=LOW:HIGH or NAME=A,B,C, for example {EXAMPLES}")
    low, colon, rest = values.partition(":")
    if not colon or values.startswith(("[", "{")):
        return Dimension(name, choices=_choices(values, where))
    high, _, kind = rest.partition(":")
    require(kind in ("", LOG), f"{where}: {kind} is no scale; give {LOG} or leave it out")
    ends = _number(low, where), _number(high, where)
    if not all(isinstance(end, int) for end in ends):
        ends = float(ends[0]), float(ends[1])
    require(ends[0] < ends[1], f"{where}: LOW must be below HIGH")
    require(not kind or ends[0] > 0, f"{where}: a logarithmic scale begins above 0")
    return Dimension(name, ends, bool(kind))


def _number(text: str, where: str) -> float:
    require(NUMBER.fullmatch(text) is not None, f"{where}: {text or 'nothing'} is no number")
    number = int(text) if re.fullmatch(r"[+-]?\d{1,15}", text) else float(text)
    require(math.isfinite(number), f"{where}: {text} is no number to compute with")
    return number


def _choices(values: str, where: str) -> tuple[Any, ...]:
    from crnn.files.settings_file import read_section  # PyYAML

    section, _ = read_section(f"{{choices: [{values}]}}", where)
    choices = tuple(exact((section or {}).get("choices") or ()))
    require(len(choices) >= 2, f"{where}: give two values or more, with commas between them")
    texts = [json.dumps(choice) for choice in choices]
    require(len(set(texts)) == len(texts), f"{where}: names a value twice")
    return choices


def exact(values: Any) -> Any:
    """Plain values with 1e-3, which YAML 1.1 reads as text, as the number that train.py reads."""
    if isinstance(values, dict):
        return {name: exact(value) for name, value in values.items()}
    if isinstance(values, list):
        return [exact(value) for value in values]
    return float(values) if isinstance(values, str) and "e" in values.lower() and NUMBER.fullmatch(values) else values


def in_sections(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings by sections, as a settings file has them; what comes later wins.

    >>> in_sections({"optim": {"epochs": 3}, "optim.epochs": 5, "optim.batch_size": 8})
    {'optim': {'epochs': 5, 'batch_size': 8}}
    """
    made: dict[str, Any] = {}
    for name, value in settings.items():
        section, _, rest = name.partition(".")
        if rest or isinstance(value, dict):
            before = made.get(section)
            inner = {rest: value} if rest else value
            made[section] = in_sections((before if isinstance(before, dict) else {}) | inner)
        else:
            made[section] = value
    return made


def check_space(settings: dict[str, Any], dimensions: tuple[Dimension, ...]) -> None:
    """Raise InputError unless every name is a setting of a run that takes the ends, or every choice, of its values, and
    that has an effect with one of them.

    What augmentation may have (`augment.`) is known to train.py alone, which answers in the first trial.
    """
    from crnn.models.registry import check_kind, input_of  # torch
    from crnn.training.unused_settings import NOT_AUGMENTED, WHOLE_CLIPS, without_effect

    configs: list[RunConfig] = []
    last = [dimension.samples[-1] for dimension in dimensions]
    for values in zip_longest(*(dimension.samples for dimension in dimensions)):
        point = {
            dimension.name: end if value is None else value
            for dimension, value, end in zip(dimensions, values, last, strict=True)
        }
        run = {name: value for name, value in with_values(settings, point).items() if name != "augment"}
        configs.append(from_dict(RunConfig, run))
        check_kind(configs[-1])
    unused = [without_effect(config) for config in configs]
    kind = configs[0].model.kind
    augments = any(input_of(config) not in WHOLE_CLIPS for config in configs)
    for name in (dimension.name for dimension in dimensions):
        always = all(name in each for each in unused)
        require(not always, f"--search {name} would change nothing: only with {unused[0].get(name)}, by --set")
        require(
            augments or not name.startswith("augment."),
            f"--search {name} would change nothing: model.kind {kind} {NOT_AUGMENTED}",
        )


def with_values(settings: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The settings with these values, by sections and under present names."""
    return with_new_keys(exact(in_sections(settings | values)), "--search")
