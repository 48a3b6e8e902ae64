"""Pretrained text encoders in transformers' folders, as sentence-transformers saves them, and their tokens as input
of a model.

Nothing here imports transformers before a text is encoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crnn.data.padded import Padded
from crnn.errors import InputError, require
from crnn.files.printable import brief
from crnn.files.strict import parse_json, read_bounded, read_json
from crnn.models.pretrained import LARGEST_CONFIG, located
from crnn.models.pretrained_encoder import Standardized
from crnn.models.text_folder import check_vocabulary, hashed, read_config, read_tokenizer
from crnn.run_config import RunConfig

FAMILIES = {
    "bert": ("BertModel", "num_hidden_layers", "hidden_size"),
    "distilbert": ("DistilBertModel", "n_layers", "dim"),
    "mpnet": ("MPNetModel", "num_hidden_layers", "hidden_size"),
    "roberta": ("RobertaModel", "num_hidden_layers", "hidden_size"),
    "xlm-roberta": ("XLMRobertaModel", "num_hidden_layers", "hidden_size"),
}
"""`model_type` of config.json -> class of transformers, keys of config.json for the number of layers and the width"""
MOST_TOKENS = 256
"""Of one text; what follows does not count"""
EXAMPLE_TOKENS = 16
"""Length of the text for which costs are counted"""
PARTS = ("embeddings.", "encoder.", "transformer.")
"""Where the weights that are used have their names; the pooler of BERT is not used"""


class TextStates(nn.Module):
    """Tokens `(batch, tokens)`, all of one length, -> `(batch, tokens, width)`."""

    def __init__(self, folder: Path, model_class: str) -> None:
        super().__init__()
        from crnn.models.hidden_states import imported, loaded

        self.model = loaded(getattr(imported(model_class), model_class), folder, PARTS)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(input_ids=tokens.long()).last_hidden_state


@dataclass(frozen=True)
class TextEncoder:
    """A frozen text encoder; its weights are loaded when the first text is encoded."""

    folder: Path
    family: str
    """`model_type` of its config.json"""
    width: int
    """Values of a token"""
    longest: int
    """Tokens of a text that it takes"""
    lower: bool
    """Whether it takes every text in lower case"""
    sha256: str
    """Of the weights"""
    key: str
    """Hash of all that its answers depend on"""

    def describe(self) -> dict:
        """Which encoder this is, as plain values for run folders."""
        return {"family": self.family, "name": self.folder.name, "sha256": self.sha256, "use": "text"}

    def states(self) -> TextStates:
        """The encoder as a module, loaded anew."""
        return TextStates(self.folder, FAMILIES[self.family][0]).eval()

    @cached_property
    def _loaded(self) -> tuple[Any, TextStates]:
        tokenizer = read_tokenizer(self.folder)
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.longest)
        return tokenizer, self.states()

    def tokens(self, text: str) -> np.ndarray:
        """The outputs of the last layer for a text, `(tokens, width)` float16, those of its beginning and its end
        included: their mean is what sentence-transformers calls the embedding, before it is normalized. Raises
        InputError for broken weights."""
        tokenizer, states = self._loaded
        given = tokenizer.encode(text.lower() if self.lower else text).ids
        require(len(given) > 0, f"{self.folder}: makes no token of {brief(text)}; give an encoder with [CLS] and [SEP]")
        with torch.inference_mode():
            values = states(torch.tensor([given]))[0].numpy().astype(np.float16)
        require(bool(np.isfinite(values).all()), f"{self.folder}: gives NaN or infinite values; copy the folder again")
        return values


def open_text_encoder(folder: Path) -> TextEncoder:
    """Read what a folder holds, without loading its weights.

    Raises InputError if the extra `teacher` is missing, the folder is none of a known family with .safetensors weights
    and tokenizer.json, or pools otherwise than by the mean. Nothing is downloaded or unpickled.
    """
    config = read_config(folder, "text encoder", FAMILIES)
    family = str(config["model_type"])
    width, positions = config.get(FAMILIES[family][2]), config.get("max_position_embeddings")
    if type(width) is not int or type(positions) is not int:
        raise InputError(f"{folder / 'config.json'}: lacks {FAMILIES[family][2]} or max_position_embeddings")
    _require_mean(folder)
    given = _read(folder / "sentence_bert_config.json")
    lower, most = given.get("do_lower_case") is True, given.get("max_seq_length")
    # RoBERTa's positions begin behind two.
    longest = min(positions - 2, most if type(most) is int and most >= 1 else MOST_TOKENS, MOST_TOKENS)
    require(longest >= 3, f"{folder / 'config.json'}: max_position_embeddings is {positions}; give 5 or more")
    check_vocabulary(read_tokenizer(folder), config, folder)
    sha256, facts = hashed(folder)
    key = hashlib.sha256(f"1 {facts} {longest}{' lower' if lower else ''}".encode()).hexdigest()[:24]
    return TextEncoder(folder, family, width, longest, lower, sha256, key)


def _read(where: Path) -> dict:
    return read_json(where, LARGEST_CONFIG) if where.is_file() else {}


def _require_mean(folder: Path) -> None:
    """Raises InputError if the mean of the tokens is not what sentence-transformers makes of a text, as the files say
    that it saves: then it means little."""
    modules, pooling = folder / "modules.json", folder / "1_Pooling" / "config.json"
    if modules.is_file():
        listed = parse_json(read_bounded(modules, LARGEST_CONFIG), str(modules))
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        kinds = [str(entry.get("type")).rpartition(".")[2] for entry in entries]
        require(
            kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]),
            f"{modules}: lists {', '.join(map(brief, kinds)) or 'nothing'}; text encoders of Transformer and Pooling, "
            "and Normalize, are read",
        )
    modes = {name: value for name, value in _read(pooling).items() if name.startswith("pooling_mode")}
    chosen = [name for name, value in modes.items() if value is True] + [v for v in modes.values() if type(v) is str]
    require(
        not pooling.is_file() or chosen in (["pooling_mode_mean_tokens"], ["mean"]),
        f"{pooling}: pools by {brief(', '.join(chosen)) or 'nothing'}; text encoders that pool by the mean over tokens "
        "are read",
    )
    where = folder / "config_sentence_transformers.json"
    said = _read(where)
    name, prompts = said.get("default_prompt_name"), said.get("prompts")
    prompt = prompts.get(name) if isinstance(prompts, dict) else None
    require(
        name is None or prompt == "",
        f"{where}: puts {brief(prompt)} before every text, which is not done here; give another text encoder",
    )


def text_encoder_of(config: RunConfig) -> TextEncoder:
    """The encoder that the settings name. Raises InputError if it is none."""
    return open_text_encoder(located(config.text.encoder))


class TextTokens(nn.Module):
    """Text in place of sound: it takes the stored tokens of what is said (`crnn.data.transcripts.open_tokens`)."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.text = text_encoder_of(config)
        self.width = self.text.width
        self.standardized = Standardized(self.width)

    def learn_scale(self, texts: Iterable[Tensor]) -> None:
        """Set mean and scale of every value from texts `(tokens, width)`."""
        self.standardized.learn_scale(texts)

    def forward(self, clips: Padded) -> Padded:
        return Padded(self.standardized(clips.values), clips.lengths)

    def example(self, n_samples: int) -> Tensor:
        """An input, to count what it costs; as long a text for any number of samples."""
        return torch.zeros(1, EXAMPLE_TOKENS, self.width)
