"""Settings of self-supervision: learning from speech without labels. No torch."""

import typing
from dataclasses import dataclass

from crnn.errors import require


@dataclass(frozen=True)
class SelfSupervisedConfig:
    """No label is read: the student predicts, at frames that it does not see, what the average of its own weights (the
    teacher) makes of them; likewise for the whole window (`crnn.training.self_supervised_task`)."""

    masked_share: float = 0.0
    """Share of a window's frames that the student does not see, 0 to below 1; 0 = no self-supervision, labels are
    learned"""
    span_steps: int = 12
    """Encoder steps per masked span"""
    utterance: typing.Literal["token", "chunk", "global"] = "token"
    """The student's vector of a window: of the model's own attention; the mean of those of `chunk_tokens` learned
    queries, the model's among them; or the mean of the LSTM's states"""
    chunk_tokens: int = 10
    """Queries of `chunk`"""
    utterance_weight: float = 1.0
    """Weight of the window's loss beside that of the masked frames; 0 = frames alone"""
    teacher_decay: float = 0.99
    """Decay per step of the teacher's averaged weights at the first step"""
    final_decay: float = 0.999
    """The same at the last step; it rises linearly"""

    def __post_init__(self) -> None:
        require(
            0 <= self.masked_share < 1,
            f"self_supervised.masked_share is {self.masked_share}; give a share from 0 to below 1, such as 0.5",
        )
        for name in ("span_steps", "chunk_tokens"):
            require(
                1 <= getattr(self, name) <= 1024, f"self_supervised.{name} is {getattr(self, name)}; give 1 to 1024"
            )
        require(
            self.utterance in ("token", "chunk", "global"),
            f"self_supervised.utterance is {self.utterance}; give token, chunk or global",
        )
        require(
            self.utterance_weight >= 0,
            f"self_supervised.utterance_weight is {self.utterance_weight}; give 0 or more",
        )
        require(
            0 <= self.teacher_decay <= self.final_decay < 1,
            f"self_supervised.teacher_decay is {self.teacher_decay} and final_decay {self.final_decay}; give numbers "
            "from 0 to below 1, the second not smaller",
        )

    @property
    def on(self) -> bool:
        """Whether a run learns without labels."""
        return self.masked_share > 0
