"""Settings of the text beside the sound. No torch."""

from dataclasses import dataclass

from crnn.errors import require


@dataclass(frozen=True)
class TextConfig:
    """What is said in a recording, as a pretrained text encoder gives it, beside how it is said (docs/systems.md)."""

    encoder: str = ""
    """Folder of a pretrained text encoder (any of sentence-transformers with mean pooling), or, where a hub can be
    reached, its name there; empty = no text"""
    column: str = ""
    """Column of your list that holds the transcripts"""
    recognizer: str = ""
    """Folder of a Whisper with tokenizer.json, or its name on the hub: it transcribes recordings without a cell in
    `column`"""
    language: str = ""
    """Language that the recognizer expects, such as de; empty = it recognizes the language of every recording"""
    fusion: str = "concat"
    """How sound and text are joined: concat, gated, cross-attention"""
    sound: str = ""
    """A finished run of the same settings without text, whose sound model is taken and no longer trained; empty = sound
    and fusion are trained together"""

    def __post_init__(self) -> None:
        given = [name for name in TextConfig.__dataclass_fields__ if getattr(self, name) != getattr(TextConfig, name)]
        require(
            bool(self.encoder) or not given,
            f"text.{given[0] if given else ''} is given without text.encoder; name the folder of a text encoder",
        )
        require(
            not self.encoder or bool(self.column or self.recognizer),
            "text.encoder is given, but no transcript; name the column of your list by text.column, or a speech "
            "recognizer by text.recognizer",
        )
        require(
            bool(self.recognizer) or not self.language,
            f"text.language is {self.language}, and there is no text.recognizer that it is for; leave it out",
        )
