"""A run folder: the result of training. Each file is written completely or not at all, and read without unpickling.

config.json   every setting        split.json    the speakers and recordings of each subset
metrics.json  every figure         report.html   the figures as a page
checkpoints/  best.ckpt, last.ckpt, logs
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeGuard

from crnn.config import from_dict
from crnn.data.protocols import Split, protocol_facts
from crnn.errors import InputError, require
from crnn.files.atomic import write_text
from crnn.files.printable import brief
from crnn.files.strict import read_json
from crnn.renamed_keys import with_new_keys, with_new_subsets
from crnn.run_config import RunConfig, plain_values

SCHEMA = 2
LARGEST = 256 * 2**20
"""Largest JSON file, bytes; split.json names every recording"""


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder, and its small files."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        return self.checkpoints / "best.ckpt"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def exists(self) -> bool:
        return (self.path / "config.json").is_file()

    def finished(self) -> bool:
        return (self.path / "metrics.json").is_file()

    def claim(self) -> None:
        """Raises InputError unless this is a run, an empty folder, or does not exist yet."""
        require(not self.path.exists() or self.path.is_dir(), f"{self.path}: is a file; give another --out")
        if self.exists() or not self.path.is_dir():
            return
        names = {entry.name for entry in self.path.iterdir()}
        # If the disk was full between the first two files, split.json is alone.
        begun = names == {"split.json"} and "split_hash" in self.read("split")
        require(
            not names or begun,
            f"{self.path}: is neither empty nor a run of train.py; nothing is written there, give another --out",
        )

    def open_for(self, config: RunConfig, augment: dict, usual: dict, resume: bool) -> None:
        """Claim the folder for a run with these settings, or continue the run in it. Raises InputError.

        Args:
            usual: default settings of augmentation, which are what an earlier version that lacks one of them did.
        """
        self.claim()
        if self.exists():
            require(resume, f"{self.path}: holds a run already; add --resume to continue it, or give another --out")
            self.check_same(config, augment, usual)
            self.tidy()

    def finished_metrics(self, test: bool) -> dict:
        """The metrics of a finished run. Raises InputError if `test` asks for the figures of an unread test fold."""
        metrics = self.read("metrics")
        require(
            not test or "test" in metrics or not self.read("split")["speakers"].get("test"),
            f"{self.path} was finished with --test false, so its test fold is unread: say --test false again to see "
            "its figures, or make a bundle of it and evaluate its test clips (python -m edge.evaluate)",
        )
        return metrics

    def tidy(self) -> None:
        """Remove the unfinished files of a killed process."""
        for folder in (self.path, self.checkpoints):
            for left in folder.glob(".*.part"):
                left.unlink()

    def write(self, name: str, values: dict) -> None:
        write_text(self.path / f"{name}.json", json.dumps(values, indent=1) + "\n")

    def read(self, name: str) -> dict:
        """One of its files; subsets have their present names. Raises InputError if it is missing or not JSON."""
        path = self.path / f"{name}.json"
        require(path.is_file(), f"{path}: no such file; {self.path} is not a finished run folder of train.py")
        return with_new_subsets(read_json(path, LARGEST), str(path))

    def write_config(
        self, config: RunConfig, data: dict[str, str], augment: dict, taught_by: Sequence[dict] = ()
    ) -> None:
        """`taught_by`: the speech encoders that teach, or taught the initial weights."""
        values = {"schema": SCHEMA, "run": plain_values(config), "data": data, "augment": augment}
        self.write("config", values | ({"taught_by": [*taught_by]} if taught_by else {}))

    def read_config(self) -> tuple[RunConfig, dict[str, str], dict]:
        """Configuration, corpus -> folder, and the augmentation's settings as plain values."""
        values = self.read("config")
        where = self.path / "config.json"
        require(
            values.get("schema") == SCHEMA,
            f"{where}: schema {brief(values.get('schema'))}, this version reads {SCHEMA}; train again, or use that one",
        )
        for name in ("run", "data", "augment"):
            require(isinstance(values.get(name), dict), f"{where}: lacks {name}; train again")
        require(
            all(isinstance(folder, str) for folder in values["data"].values()),
            f"{where}: data must name a folder for each corpus; train again",
        )
        try:
            config = from_dict(RunConfig, with_new_keys(values["run"]))
            augment = with_new_keys({"augment": values["augment"]})["augment"]
        except InputError as error:
            raise InputError(f"{where}: {error}; train again, or use the version that trained it") from error
        protocol_facts(config.protocol)
        return config, values["data"], augment

    def check_same(self, config: RunConfig, augment: dict, usual: dict) -> None:
        """Refuse to resume under other settings, naming every key that differs. The hardware (`loop`) may differ, the
        number of processes may not. `usual`: as in `open_for`."""
        ours, _, our_augment = self.read_config()
        old = asdict(ours) | {"loop": {"processes": ours.loop.processes}, "augment": usual | our_augment}
        new = asdict(config) | {"loop": {"processes": config.loop.processes}, "augment": augment}
        refuse_others(self.path, old, new)

    def taught_by(self) -> tuple[dict, ...]:
        """The speech encoders that taught the model, or its initial weights. Raises InputError if they are no list."""
        return read_taught_by(self.read("config"), self.path / "config.json")

    def check_taught_by(self, encoders: list[dict]) -> None:
        """Refuse to resume with another pretrained model in the same folder."""
        recorded = self.taught_by()
        require(
            recorded == tuple(encoders),
            f"{self.path} was started with another pretrained model (speech encoder, text encoder or recognizer) in "
            "one of the folders that its settings name; restore it, or train again",
        )

    def trained_on(self) -> list[str]:
        """Every speaker ("corpus:speaker") that the weights were trained on or chosen on, also in the runs before this
        one. Raises InputError if the run does not say."""
        subsets = self.read("split").get("heard")
        if not isinstance(subsets, dict) or not all(_is_texts(speakers) for speakers in subsets.values()):
            raise InputError(f"{self.path / 'split.json'}: does not say on whom the run was trained; train again")
        return sorted({speaker for speakers in subsets.values() for speaker in speakers})

    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the logits. Raises InputError if `split.json` does not name them."""
        labels = self.read("split").get("labels")
        if not _is_texts(labels) or not 1 <= len(labels) <= 100 or len(set(labels)) < len(labels):
            raise InputError(f"{self.path / 'split.json'}: does not name the emotions; train again")
        return tuple(labels)

    def split_hash(self) -> str:
        """Hash of the split without corrections."""
        values = self.read("split")
        digest = values.get("original_split_hash", values.get("split_hash"))  # older runs have no corrections
        if not isinstance(digest, str):
            raise InputError(f"{self.path / 'split.json'}: lacks split_hash; train again")
        return digest

    def check_split(self, split: Split) -> None:
        """Refuse recordings that are not those this run was trained and judged on."""
        recorded = self.read("split").get("split_hash")
        require(
            recorded == split.hash,
            f"{self.path} belongs to split {recorded}, but these recordings give {split.hash}: files were added, "
            "removed or can no longer be read; restore them, or train again",
        )


def refuse_others(path: Path, old: dict, new: dict) -> None:
    """Raise InputError, naming every setting that differs, unless the folder `path`, started with the settings `old`,
    is continued with the same ones."""
    # Through JSON, so that a tuple here equals the list on disk.
    old, new = (_flat(json.loads(json.dumps(values))) for values in (old, new))
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    require(
        not differing,
        f"{path} was started with other settings: "
        + "; ".join(f"{key} was {old.get(key)}, now {new.get(key)}" for key in differing)
        + "; give the same ones or another --out",
    )


def read_taught_by(values: dict, where: Path) -> tuple[dict, ...]:
    """The speech encoders that `values`, of a run folder or a bundle, name; none in files of the version before."""
    found = values.get("taught_by", [])
    require(
        isinstance(found, list) and all(isinstance(encoder, dict) for encoder in found),
        f"{where}: taught_by must list speech encoders; train again",
    )
    return tuple(found)


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _flat(values: dict, prefix: str = "") -> dict:
    flat: dict = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
