"""Settings that were renamed or removed: the one table, and how plain values of the version before are read.

Run folders, bundles, YAML files and command lines of the version before name settings the old way. Whoever turns plain
values into dataclasses renames their keys first; the command line takes an old option for the new one.
"""

from collections.abc import Mapping

from crnn.errors import require

RENAMED: dict[str, str] = {
    "window.hop_seconds": "window.interval_seconds",
    "geometry.hop_steps": "geometry.interval_steps",
    "geometry.window_hops": "geometry.window_intervals",
    "model.planes": "model.inputs",
    "model.floor_db": "model.spectral_floor_db",
    "loss.arousal_weight": "loss.continuous_weight",
    "augment.views": "augment.copies",
    "augment.surround": "augment.padding",
    "augment.min_floor_db": "augment.min_background_db",
    "augment.max_floor_db": "augment.max_background_db",
    "augment.hiss": "augment.steady_noise",
    "augment.hiss_p": "augment.steady_noise_p",
    "augment.min_hiss_db": "augment.min_steady_noise_db",
    "augment.max_hiss_db": "augment.max_steady_noise_db",
}
"""Old name -> new name: a section and a key in it. Both names of a setting are in the same section"""

REMOVED: dict[str, object] = {
    "model.stem": "stride",
    "model.head": "lstm",
    "loss.mask_labels": True,
    "loss.teacher_temperature": 2.0,
    "augment.response_db": 0.0,
    "augment.shift": False,
    "augment.max_shift_bands": 4,
    "augment.copy_paste": False,
    "augment.copy_paste_p": 0.5,
    "augment.reverb": False,
    "augment.reverb_p": 0.25,
    "augment.min_reverb_seconds": 0.2,
    "augment.max_reverb_seconds": 3.0,
    "augment.min_direct_db": -18.0,
    "augment.max_direct_db": 6.0,
}
"""Removed setting -> its default, which is what this version does; another value is refused"""

SUBSETS = {f"{section}probe": f"{section}dev_unseen" for section in ("", "counts.", "speakers.", "clips.")}
"""The old and the new name of a subset in `split.json` and `metrics.json`"""


def with_new_keys(values: Mapping, where: str = "") -> dict:
    """`values` ({section: {key: value}}, or {"section.key": value}) under the new names, without removed
    settings that have their default; nothing else changes.

    Raises InputError, naming `where` it stands, for a setting that is given under both names and for a removed one with
    another value than its default.

    >>> with_new_keys({"window": {"window_seconds": 3.0, "hop_seconds": 0.5}, "seed": 1})
    {'window': {'window_seconds': 3.0, 'interval_seconds': 0.5}, 'seed': 1}
    """
    return _renamed(values, RENAMED, f"{where}: " if where else "", REMOVED)


def with_new_subsets(values: Mapping, where: str = "") -> dict:
    """The content of `split.json` or `metrics.json` under the present names of the subsets.

    >>> with_new_subsets({"counts": {"probe": {"clips": 3}}})
    {'counts': {'dev_unseen': {'clips': 3}}}
    """
    return _renamed(values, SUBSETS, f"{where}: " if where else "", {})


def with_schema_4_keys(values: Mapping) -> dict:
    """`values` under the names of schema 4 of a bundle's manifest, which devices with the version before read too.

    >>> with_schema_4_keys({"geometry": {"interval_steps": 5}})
    {'geometry': {'hop_steps': 5}}
    """
    return _renamed(values, {new: old for old, new in RENAMED.items()}, "", {})


def with_new_options(argv: list[str]) -> list[str]:
    """Command line arguments, old options (--window.hop_seconds=1) under their new names.

    >>> with_new_options(["--window.hop_seconds", "0.5", "--window.hop_seconds=1", "hop_seconds"])
    ['--window.interval_seconds', '0.5', '--window.interval_seconds=1', 'hop_seconds']
    """
    found = []
    for word in argv:
        option, equals, value = word.partition("=")
        if option.startswith("--") and option[2:] in RENAMED:
            word = f"--{RENAMED[option[2:]]}{equals}{value}"
        found.append(word)
    return found


def _renamed(
    values: Mapping, names: Mapping[str, str], where: str, removed: Mapping[str, object], section: str = ""
) -> dict:
    made: dict = {}
    for key, value in values.items():
        path = f"{section}{key}"
        if path in removed:
            require(
                value == removed[path],
                f"{where}{path} is {value}; the setting is gone and its default, {removed[path]}, alone is read: "
                "use the version before, or leave it out",
            )
            continue
        new = names[path].removeprefix(section) if path in names else key
        require(new not in made, f"{where}{path} is given under its old and its new name; give {section}{new} alone")
        made[new] = _renamed(value, names, where, removed, f"{path}.") if isinstance(value, Mapping) else value
    return made
