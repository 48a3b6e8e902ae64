"""What folders of pretrained models that read or write text have in common: config.json, tokenizer.json, hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.files.strict import file_hash, read_json
from crnn.models.pretrained import LARGEST_CONFIG

LARGEST_TOKENIZER = 64 * 2**20
"""Bytes of tokenizer.json"""


def read_config(folder: Path, what: str, families: Collection[str]) -> dict:
    """`config.json` of a folder with .safetensors weights. Raises InputError if the extra `teacher` is missing, or the
    folder is none of a `what` of these families (`model_type`)."""
    missing = [package for package in ("transformers", "tokenizers") if find_spec(package) is None]
    require(not missing, f"a {what} needs {', '.join(missing)}: {install('teacher')}")
    where = folder / "config.json"
    require(where.is_file(), f"{folder}: no {what}; give a folder with config.json, tokenizer.json, model.safetensors")
    config = read_json(where, LARGEST_CONFIG)
    family = config.get("model_type")
    known = isinstance(family, str) and family in families
    require(known, f"{where}: model_type is {brief(family)}; a {what} of {', '.join(families)} is read")
    weights = list(folder.glob("*.safetensors"))
    require(len(weights) > 0, f"{folder}: no .safetensors file; weights in other formats are not read, convert them")
    return config


def read_tokenizer(folder: Path) -> Any:
    """`tokenizer.json` as a tokenizer of the package tokenizers. Raises InputError."""
    from tokenizers import Tokenizer

    where = folder / "tokenizer.json"
    require(where.is_file(), f"{where}: no such file; save the tokenizer in this format (save_pretrained writes it)")
    read_json(where, LARGEST_TOKENIZER)
    try:
        return Tokenizer.from_file(str(where))
    except Exception as error:  # the package raises nothing more specific
        why = brief(" ".join(str(error).split()))
        raise InputError(f"{where}: cannot be opened ({why}); copy the folder again") from error


def check_vocabulary(tokenizer: Any, config: dict, folder: Path) -> None:
    """Raises InputError if the tokenizer makes tokens that the weights do not have: it is that of another model."""
    known, most = config.get("vocab_size"), max(tokenizer.get_vocab().values(), default=0)
    require(
        type(known) is int and most < known,
        f"{folder}: tokenizer.json has a token {most}, and vocab_size in config.json is {brief(known)}; the two are of "
        "different models, copy both from one",
    )


def hashed(folder: Path) -> tuple[str, str]:
    """The hash of the weights, and the hashes of all that an answer depends on. Raises InputError."""
    try:
        weights = [file_hash(file) for file in sorted(folder.glob("*.safetensors"))]
        own, tokenizer = file_hash(folder / "config.json"), file_hash(folder / "tokenizer.json")
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    sha256 = weights[0] if len(weights) == 1 else hashlib.sha256(" ".join(weights).encode()).hexdigest()
    return sha256, f"{own} {tokenizer} {sha256}"
