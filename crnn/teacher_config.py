"""Settings of a frozen speech encoder that teaches. No torch; `run_config.py` hands them on."""

from dataclasses import dataclass

from crnn.errors import require


@dataclass(frozen=True)
class TeacherConfig:
    """A frozen pretrained speech encoder that teaches: loss.label_share * label loss + answers * cross-entropy +
    embedding * squared error (`crnn.training.taught_task`)."""

    encoder: str = ""
    """Its folder, in transformers' format (Whisper); empty = none"""
    layers: tuple[int, ...] = (3, 4)
    """Layers whose outputs are taken, 1 = the first"""
    answers: float = 1.0
    """Weight of the cross-entropy with the answers of a logistic regression on the encoder's embeddings"""
    regularization: float = 1e-3
    """C of that regression, small = strong"""
    embedding: float = 1.0
    """Weight of the squared error of the embeddings' principal components, as predicted from the pooled vector"""
    components: int = 64
    """Number of these components"""
    only: tuple[str, ...] = ()
    """Corpora whose labels are not used: the encoder alone teaches on their training clips, nobody develops on them"""

    def __post_init__(self) -> None:
        require(len(self.layers) > 0, "teacher.layers is empty; name at least one layer")
        ordered = list(self.layers) == sorted(set(self.layers))
        require(ordered and min(self.layers) >= 1, f"teacher.layers is {list(self.layers)}; give 1 or more, ascending")
        for name in ("answers", "embedding"):
            require(getattr(self, name) >= 0, f"teacher.{name} is {getattr(self, name)}; give 0 or more")
        require(self.regularization > 0, f"teacher.regularization is {self.regularization}; give a number above 0")
        require(self.components >= 1, f"teacher.components is {self.components}; give 1 or more")
        require(bool(self.encoder) or not self.only, "teacher.only names corpora, but teacher.encoder no encoder")
        require(
            not self.encoder or self.answers + self.embedding > 0,
            "teacher.answers and teacher.embedding are both 0; leave teacher.encoder out",
        )
