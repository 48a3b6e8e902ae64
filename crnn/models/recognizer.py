"""Whisper (Radford et al. 2022) as a speech recognizer, from a folder in transformers' format.

Nothing here imports torch or transformers before a recording is transcribed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crnn.errors import require
from crnn.files.printable import brief
from crnn.models.pretrained import SAMPLE_RATE, leveled
from crnn.models.text_folder import check_vocabulary, hashed, read_config, read_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

MOST_TOKENS = 224
"""Of one transcript, half of what its decoder takes, as in Whisper's own program"""
ENGLISH_ONLY = 51864
"""Vocabulary of the models that know no other language, one token less than the others'"""
LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")


@dataclass(frozen=True)
class Recognizer:
    """Whisper with its decoder; its weights are loaded when the first recording is transcribed."""

    folder: Path
    language: str
    """Its code, such as de; empty = recognized in every recording"""
    prompt: tuple[int, ...]
    """Tokens that begin every transcript; the second is replaced where the language is recognized"""
    languages: tuple[int, ...]
    """Tokens of the languages among which it is recognized; none where it is known"""
    end: int
    """The token that ends a transcript; those behind it stand for no text"""
    sha256: str
    """Of the weights"""
    key: str
    """Hash of all that a transcript depends on"""

    def describe(self) -> dict:
        """Which recognizer this is, as plain values for run folders."""
        return {"family": "whisper", "name": self.folder.name, "sha256": self.sha256, "use": "transcripts"}

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        """Model, feature extractor, tokenizer."""
        from crnn.models.hidden_states import imported, loaded

        transformers = imported("WhisperFeatureExtractor", "WhisperForConditionalGeneration")
        model = loaded(transformers.WhisperForConditionalGeneration, self.folder, "model.").eval()
        features = transformers.WhisperFeatureExtractor(
            feature_size=model.config.num_mel_bins, chunk_length=model.config.max_source_positions // 50
        )
        return model, features, read_tokenizer(self.folder)

    def transcribe(self, waveform: np.ndarray) -> str:
        """`waveform (time,)` float32 at 16 kHz -> what is said, by the most probable token at each place; "" where
        nothing is. Of a recording longer than 30 s the beginning counts. Raises InputError for broken weights."""
        import torch

        model, features, tokenizer = self._loaded
        log_mel = features(leveled(waveform), sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        with torch.inference_mode():
            steps = model.model.encoder(log_mel)
            tokens = self._decoded(model, steps)
        return tokenizer.decode(tokens).strip()

    def _decoded(self, model: Any, steps: Any) -> list[int]:
        """The tokens of the text, without the prompt and the end."""
        prompt = [*self.prompt]
        if self.languages:
            prompt[1] = self.languages[int(self._next(model, steps, prompt[:1])[0][[*self.languages]].argmax())]
        tokens: list[int] = []
        scores, past = self._next(model, steps, prompt)
        for _ in range(min(MOST_TOKENS, model.config.max_target_positions - len(prompt))):
            token = int(scores[: self.end + 1].argmax())
            if token == self.end:
                break
            tokens.append(token)
            scores, past = self._next(model, steps, [token], past)
        return tokens

    def _next(self, model: Any, steps: Any, tokens: list[int], past: Any = None) -> tuple[Tensor, Any]:
        """Scores `(vocabulary,)` of the token behind these, and what was computed so far."""
        import torch

        made = model(encoder_outputs=steps, decoder_input_ids=torch.tensor([tokens]), cache=past, use_cache=True)
        require(
            bool(torch.isfinite(made.logits).all()),
            f"{self.folder}: gives NaN or infinite values; copy the folder again",
        )
        return made.logits[0, -1], made.past_key_values


def open_recognizer(folder: Path, language: str = "") -> Recognizer:
    """Read what a folder holds, without loading its weights.

    Raises InputError if the extra `teacher` is missing, the folder is no Whisper with .safetensors weights and
    tokenizer.json, or does not know the language. Nothing is downloaded or unpickled.
    """
    config = read_config(folder, "speech recognizer", ("whisper",))
    tokenizer = read_tokenizer(folder)
    check_vocabulary(tokenizer, config, folder)

    def place(token: str) -> int:
        found = tokenizer.token_to_id(token)
        require(found is not None, f"{folder / 'tokenizer.json'}: lacks {token}; copy the folder of a Whisper model")
        return int(found)

    known = {}
    for token, number in tokenizer.get_vocab().items():
        if match := LANGUAGE.fullmatch(token):
            known[match[1]] = number
    if config.get("vocab_size") == ENGLISH_ONLY:
        require(language in ("", "en"), f"text.language is {brief(language)}; {folder} recognizes English alone")
        prompt: tuple[int, ...] = (place("<|startoftranscript|>"), place("<|notimestamps|>"))
        languages: tuple[int, ...] = ()
    else:
        names = ", ".join(sorted(known))
        require(not language or language in known, f"text.language is {brief(language)}; {folder} knows {names}")
        require(len(known) > 0, f"{folder / 'tokenizer.json'}: names no language; copy the folder of a Whisper model")
        first = known.get(language, 0)
        prompt = (place("<|startoftranscript|>"), first, place("<|transcribe|>"), place("<|notimestamps|>"))
        languages = () if language else tuple(sorted(known.values()))
    sha256, facts = hashed(folder)
    key = hashlib.sha256(f"1 {facts} {language} {MOST_TOKENS}".encode()).hexdigest()[:24]
    return Recognizer(folder, language, prompt, languages, place("<|endoftext|>"), sha256, key)
