"""YAML or JSON of settings, in a file or an option, checked before jsonargparse reads it: plain, names once."""

import contextlib
import math
from pathlib import Path
from typing import Any

import yaml

from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.files.strict import DEEPEST, read_bounded
from crnn.files.typed import LARGEST

MOST_BYTES = 2**20
SECTIONS = ("features", "model", "window", "loss", "optim", "loop", "teacher", "system", "augment")


def read_settings_file(path: Path) -> dict:
    """The settings of a file, as it names them.

    Raises InputError, naming the file and the line or name, for what is no plain YAML: anchors (they multiply), tags
    (they make objects), a name that occurs twice, NaN, infinite and enormous numbers, and a section that is none."""
    values = read_yaml(path)
    for name in SECTIONS:
        section = values.get(name, {})
        require(isinstance(section, dict), f"{path}: {name} must hold named settings, not {brief(section)}")
    return values


def read_yaml(path: Path) -> dict:
    """Named plain values of any file, as strictly read. Raises InputError as `read_settings_file` does."""
    values = _parse(_text(path), str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold named settings, as in configs/")
    return values


def read_section(given: str, option: str) -> tuple[dict | None, str]:
    """The settings of one section, which are the text of an option or stand in the file that it names, and where they
    stand; None for text that is no mapping. Raises InputError as `read_settings_file` does."""
    named = False
    with contextlib.suppress(OSError, ValueError):  # text is no possible name of a file
        named = Path(given).is_file()
    where = given if named else option
    values = _parse(_text(Path(given)) if named else given, where)
    return values if isinstance(values, dict) else None, where


def _text(path: Path) -> str:
    try:
        return read_bounded(path, MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _parse(text: str, where: str) -> object:
    try:
        _check_events(text, where)
        return _values(yaml.compose(text, Loader=yaml.SafeLoader), where)
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: digits without end, a thirteenth month
        raise InputError(f"{where}: not valid YAML ({' '.join(str(error).split())})") from error


def _check_events(text: str, where: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = f"{where}, line {event.start_mark.line + 1}"
        require(not getattr(event, "anchor", None), f"{line}: anchors and aliases are not read; write the value out")
        require(not getattr(event, "tag", None), f"{line}: tags are not read; give plain values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        require(depth <= DEEPEST, f"{line}: nested more than {DEEPEST} levels deep")


def _values(node: yaml.Node | None, where: str) -> Any:
    """Plain values of a node without tags."""
    if node is None:
        return None
    line = f"{where}, line {node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        values = {}
        for key, value in node.value:
            require(isinstance(key, yaml.ScalarNode), f"{line}: a list or a mapping cannot be a name")
            require(key.value not in values, f"{line}: {brief(key.value)} occurs twice")
            values[key.value] = _values(value, where)
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_values(item, where) for item in node.value]
    require(len(node.value) <= 10_000, f"{line}: a value of {len(node.value)} characters")
    loader = yaml.SafeLoader("")
    value = loader.construct_object(node)
    if type(value) is int:
        require(abs(value) <= LARGEST, f"{line}: {brief(value)} is too large")
    if isinstance(value, float):
        require(math.isfinite(value), f"{line}: {value} is no number to compute with")
    return value
