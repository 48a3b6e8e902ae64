"""A YAML or JSON file of settings, checked before jsonargparse reads it: bounded, plain, each name once."""

import math
from pathlib import Path
from typing import Any

import yaml

from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.files.strict import DEEPEST, read_bounded
from crnn.files.typed import LARGEST

MOST_BYTES = 2**20
SECTIONS = ("features", "model", "window", "loss", "optim", "loop", "augment")


def read_settings_file(path: Path) -> dict:
    """The settings of a file, as it names them.

    Raises InputError, naming the file and the line or name, for what is no plain YAML: anchors (they multiply), tags
    (they make objects), a name that occurs twice, NaN, infinite and enormous numbers, and a section that is none."""
    try:
        text = read_bounded(path, MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    try:
        _check_events(text, path)
        values = _values(yaml.compose(text, Loader=yaml.SafeLoader), path)
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: digits without end, a thirteenth month
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    require(isinstance(values, dict), f"{path}: must hold named settings, as in configs/")
    for name in SECTIONS:
        section = values.get(name, {})
        require(isinstance(section, dict), f"{path}: {name} must hold named settings, not {brief(section)}")
    return values


def _check_events(text: str, path: Path) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = f"{path}, line {event.start_mark.line + 1}"
        require(not getattr(event, "anchor", None), f"{line}: anchors and aliases are not read; write the value out")
        require(not getattr(event, "tag", None), f"{line}: tags are not read; give plain values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        require(depth <= DEEPEST, f"{line}: nested more than {DEEPEST} levels deep")


def _values(node: yaml.Node | None, path: Path) -> Any:
    """Plain values of a node without tags."""
    if node is None:
        return None
    line = f"{path}, line {node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        values = {}
        for key, value in node.value:
            require(isinstance(key, yaml.ScalarNode), f"{line}: a list or a mapping cannot be a name")
            require(key.value not in values, f"{line}: {brief(key.value)} occurs twice")
            values[key.value] = _values(value, path)
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_values(item, path) for item in node.value]
    require(len(node.value) <= 10_000, f"{line}: a value of {len(node.value)} characters")
    loader = yaml.SafeLoader("")
    value = loader.construct_object(node)
    if type(value) is int:
        require(abs(value) <= LARGEST, f"{line}: {brief(value)} is too large")
    if isinstance(value, float):
        require(math.isfinite(value), f"{line}: {value} is no number to compute with")
    return value
