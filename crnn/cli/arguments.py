"""Command lines and settings files of the version before, as train.py's arguments of this one."""

import json
from pathlib import Path

from crnn.cli.installed import find_config
from crnn.renamed_keys import with_new_keys, with_new_options


def present_arguments(argv: list[str]) -> list[str]:
    """The arguments with old options under their present names, and with settings (files, or a section given as text)
    checked and, where they hold old keys, replaced by their content under present ones.

    Raises InputError as `crnn.files.settings_file.read_settings_file` and `crnn.renamed_keys.with_new_keys` do.
    """
    from crnn.files.settings_file import SECTIONS  # PyYAML

    several, made = ("--config", *(f"--{section}" for section in SECTIONS)), []
    for before, word in zip(["", *argv], with_new_options(argv), strict=False):
        option, equals, given = word.partition("=")
        if before in several:
            word = _present(before, word)
        elif option in several and equals:
            word = f"{option}={_present(option, given)}"
        made.append(word)
    return made


def _present(option: str, given: str) -> str:
    """The value of `--config`, a file of settings, or of an option such as `--window`, a section of them."""
    from crnn.files.settings_file import read_section, read_settings_file

    if option == "--config":
        path = find_config(given)
        values = read_settings_file(Path(path))
        present = with_new_keys(values, path)
        return path if present == values else json.dumps(present)
    section, where = read_section(given, option)
    if section is None:
        return given  # the parser says what is wrong with it
    present = with_new_keys({option[2:]: section}, where)[option[2:]]
    return given if present == section else json.dumps(present)
