"""How well the emotion of the next turn can be predicted from the turns before it, on people not trained on."""

from collections.abc import Sequence

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from crnn.data.dialogues import Turns
from crnn.errors import require
from crnn.models.next_turn import NextTurn, padded
from crnn.pooled import pooled
from crnn.training.fit import quieten_lightning

CONTEXT = 6
"""Turns that are looked back on"""
FOLDS = 5
EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 30, 64, 0.01, 0.01


class NextTurnTask(L.LightningModule):
    """Cross-entropy with balanced classes, because the figure is a mean over classes."""

    def __init__(self, model: NextTurn, class_weights: Tensor) -> None:
        super().__init__()
        self.model = model
        self.loss = nn.CrossEntropyLoss(weight=class_weights)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        turns, lengths, labels = batch
        return self.loss(self.model(turns, lengths), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)


def next_turns(turns: Turns, seed: int = 0) -> dict:
    """Cross-validate a GRU over the last `CONTEXT` turns. No speaker, and nobody he talks to, is on both sides.

    Settings are fixed and nothing is chosen, so there are no development speakers. Returns the figures of
    `crnn.pooled.pooled` under `model`, and under `repeated` those of the answer that the emotion of the last turn
    stays, which is given the true emotion of that turn; `labels`, `n_turns`, `n_dialogues`, `n_folds`. Raises
    InputError if everybody is connected with everybody.
    """
    from sklearn.model_selection import GroupKFold

    spans, groups = turns.predicted(CONTEXT), turns.groups()
    labels = sorted(set(turns.emotions))
    index = np.array([labels.index(emotion) for emotion in turns.emotions])
    places = np.array([place for _, place in spans])
    folds = min(FOLDS, len(set(groups[places])))
    require(
        folds >= 2,
        "every dialogue shares a speaker with the others, directly or through others; nobody is left to be tested on",
    )
    vectors = torch.from_numpy(turns.vectors)
    decided = np.zeros(len(places), dtype=int)
    for fold, (train, test) in enumerate(GroupKFold(folds).split(places, groups=groups[places])):
        model = _fit(vectors, [spans[k] for k in train], index, len(labels), seed + fold)
        with torch.inference_mode():
            decided[test] = model(*padded(vectors, [spans[k] for k in test], CONTEXT)).argmax(dim=1).numpy()
    truth, speakers = index[places], [turns.speakers[place] for place in places]
    return {
        "labels": labels,
        "n_turns": len(places),
        "n_dialogues": len(set(turns.dialogues)),
        "n_folds": folds,
        "context": CONTEXT,
        "seed": seed,
        "model": _figures(truth, decided, speakers, len(labels)),
        "repeated": _figures(truth, index[places - 1], speakers, len(labels)),
    }


def _fit(vectors: Tensor, spans: Sequence[tuple[int, int]], index: np.ndarray, n_classes: int, seed: int) -> NextTurn:
    torch.manual_seed(seed)
    known = sorted({place for first, end in spans for place in range(first, end)})
    model = NextTurn(vectors[known], n_classes)
    labels = torch.from_numpy(index[[place for _, place in spans]])
    counts = torch.bincount(labels, minlength=n_classes).float()
    weights = torch.where(counts > 0, len(labels) / counts.clamp_min(1) / (counts > 0).sum(), torch.zeros(()))
    clips = TensorDataset(*padded(vectors, list(spans), CONTEXT), labels)
    loader = DataLoader(clips, BATCH, shuffle=True, generator=torch.Generator().manual_seed(seed))
    quieten_lightning()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(NextTurnTask(model, weights), loader)
    return model.eval()


def _figures(truth: np.ndarray, decided: np.ndarray, speakers: Sequence[str], n_classes: int) -> dict:
    """Pooled over all folds, with intervals over the speakers of the turns that are predicted."""
    matrices = {speaker: np.zeros((n_classes, n_classes)) for speaker in speakers}
    for speaker, true, answer in zip(speakers, truth, decided, strict=True):
        matrices[speaker][true, answer] += 1
    return pooled([{speaker: matrix.tolist() for speaker, matrix in matrices.items()}])
