"""The text of a run: transcripts and their tokens for every recording, from what the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crnn.data.cache import AudioCache
from crnn.data.embeddings import Steps
from crnn.data.splits import Split
from crnn.data.transcripts import in_column, open_tokens, open_transcripts
from crnn.data.utterances import Utterance
from crnn.errors import require
from crnn.models.clip_model import ClipModel
from crnn.models.pretrained import located
from crnn.models.recognizer import Recognizer, open_recognizer
from crnn.models.text_encoder import TextEncoder, text_encoder_of
from crnn.models.text_model import TextModel
from crnn.run_config import RunConfig
from crnn.training.run_folder import RunFolder
from crnn.training.trained_run import open_run


@dataclass(frozen=True)
class TextSources:
    """The pretrained models that a run's text rests on."""

    encoder: TextEncoder
    recognizer: Recognizer | None

    def describe(self) -> list[dict]:
        """Both as plain values: the licence of the weights depends on them."""
        return [self.encoder.describe(), *([self.recognizer.describe()] if self.recognizer else [])]


@dataclass(frozen=True)
class Text:
    """What is said in every recording of a run."""

    tokens: Steps
    sources: TextSources
    counts: dict[str, int]
    """How many transcripts stand in the column, how many are the recognizer's, and how many are different"""


def open_sources(config: RunConfig) -> TextSources | None:
    """What the settings name, without loading its weights; None for a run without text. Raises InputError, before
    recordings are decoded, for a folder that is neither."""
    text = config.text
    if not text.encoder:
        return None
    recognizer = open_recognizer(located(text.recognizer), text.language) if text.recognizer else None
    return TextSources(text_encoder_of(config), recognizer)


def refuse_before_text(config: RunConfig, split: Split) -> None:
    """Raise InputError for a recording that has no transcript and can get none, and for a run of `text.sound` that does
    not go with this one; before anything long."""
    if config.text.encoder:
        in_column(split.utterances, config.text)
    if config.text.sound:
        sound_run(config, split)


def open_text(
    config: RunConfig, sources: TextSources, utterances: Sequence[Utterance], cache: AudioCache, folder: Path | None
) -> Text:
    """Transcripts and tokens of decoded recordings, computed once. Raises InputError for a missing transcript, or
    broken weights."""
    recognizer = sources.recognizer
    transcripts = (
        open_transcripts(utterances, config.text, cache, recognizer.key, recognizer.transcribe, folder)
        if recognizer
        else open_transcripts(utterances, config.text, cache)
    )
    encoder = sources.encoder
    tokens = open_tokens(transcripts.texts, encoder.key, encoder.width, encoder.tokens, folder)
    return Text(tokens, sources, transcripts.describe())


def sound_run(config: RunConfig, split: Split) -> RunFolder:
    """The run of `text.sound`.

    Raises InputError unless it is a finished run of the same settings without text, on the same split: otherwise it may
    have been trained on who is tested here.
    """
    run = RunFolder(Path(config.text.sound))
    require(run.finished(), f"text.sound {run.path}: no finished run of train.py; train one without text first")
    theirs, _, _ = run.read_config()
    require(not theirs.text.encoder, f"text.sound {run.path}: it takes text itself; give a run without text")
    require(
        (theirs.model.kind, theirs.system, theirs.features) == (config.model.kind, config.system, config.features),
        f"text.sound {run.path}: its model.kind, system or features are others than this run's; give the same ones",
    )
    found = run.split_hash()
    require(
        found == split.original_hash,
        f"text.sound {run.path}: trained under split {found}, this run's is {split.original_hash}; give a run of the "
        "same protocol, fold and recordings",
    )
    return run


def take_sound(model: TextModel, config: RunConfig, split: Split) -> None:
    """Give the model the sound model of `text.sound`, frozen. Raises the errors of `sound_run`."""
    sound = open_run(sound_run(config, split)).model
    if not isinstance(sound, ClipModel):
        raise ValueError("a model over windows beside text")
    model.take_sound(sound)
