"""Start from another run's weights, if that run has heard nothing that this one is judged on."""

from pathlib import Path

from torch import Tensor

from crnn.config import require
from crnn.fit import model_weights
from crnn.model import CRNN
from crnn.protocols import LeakError, Split
from crnn.run import RunFolder


def start_from(model: CRNN, run: Path, split: Split) -> list[str]:
    """Copy the weights of the finished run `run` into `model`; classifier rows by the names of their emotions, rows
    without a namesake stay as they are. Returns every speaker ("corpus:speaker") that those weights have learned from
    or been chosen by, those of the runs before `run` included.

    Raises InputError if the run is unfinished or of another shape, LeakError if it was trained, or its epoch chosen, on
    a speaker whom `split` uses to develop or test.
    """
    folder = RunFolder(run)
    theirs, heard = folder.read("split"), folder.heard()
    for part in ("dev", "test", "probe"):
        shared = sorted({u.speaker for u in getattr(split, part)} & set(heard))
        if shared:
            raise LeakError(f"--init {run}: it has heard {', '.join(shared[:5])}, who are {part} here; use another run")
    require(folder.best_checkpoint.is_file(), f"{folder.best_checkpoint}: no such file; train it again")
    weights, ours = model_weights(folder.best_checkpoint), model.state_dict()
    for name in ("head.classifier.weight", "head.classifier.bias"):
        if weights[name].shape[1:] == ours[name].shape[1:]:
            weights[name] = _by_label(ours[name], weights[name], split.labels, theirs["labels"])
    require(
        {name: value.shape for name, value in weights.items()} == {name: value.shape for name, value in ours.items()},
        f"--init {run}: its model has another shape; give the same --model settings",
    )
    model.load_state_dict(weights)
    return heard


def _by_label(ours: Tensor, theirs: Tensor, our_labels: tuple[str, ...], their_labels: list[str]) -> Tensor:
    merged = ours.clone()
    for row, label in enumerate(our_labels):
        if label in their_labels:
            merged[row] = theirs[their_labels.index(label)]
    return merged
