"""The embeddings of recordings by a trained model, and what their corpora say about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from crnn.config import StreamGeometry
from crnn.data.cache import AudioCache
from crnn.data.corpora import Utterance
from crnn.data.loaders import EvalClips, eval_loader
from crnn.data.padded import Padded
from crnn.models.clip_model import ClipModel, Model
from crnn.models.registry import inputs_of
from crnn.models.text_model import TextModel
from crnn.run_config import RunConfig
from crnn.training.predict import predict_outputs
from crnn.training.text import open_sources, open_text
from crnn.training.trained_run import TrainedModel


@dataclass(frozen=True)
class Steps:
    """Encoder outputs, one per step of each clip; of the steps whose middle lies within the clip."""

    vectors: np.ndarray
    """`(steps of all clips, d)` float32"""
    clip: np.ndarray
    """`(steps of all clips,)`: place of its clip among the embeddings"""
    seconds: np.ndarray
    """`(steps of all clips,)`: middle of the step, s from the clip's start"""


@dataclass(frozen=True)
class Embeddings:
    """One vector per clip: the mean of the pooled vectors of its decisions, of which the answer is made."""

    clips: tuple[Utterance, ...]
    vectors: np.ndarray
    """`(n, width)` float32"""
    predicted: tuple[str, ...]
    """The emotion that the model decides"""
    arousal: np.ndarray | None = None
    """`(n,)` float32, 0 to 1, where the model estimates it"""
    steps: Steps | None = None
    subset_of: Mapping[str, str] = field(default_factory=dict)
    """Clip -> train, dev or test of the run, of the clips that it knows"""

    def columns(self) -> dict[str, list[str]]:
        """What is known of each clip, by name of the column."""
        return {
            "path": [str(u.path) for u in self.clips],
            "corpus": [u.corpus for u in self.clips],
            "speaker": [u.speaker_id for u in self.clips],
            "sex": [u.sex or "" for u in self.clips],
            "emotion": [u.emotion for u in self.clips],
            "predicted": list(self.predicted),
            "subset": [self.subset_of.get(u.name, "") for u in self.clips],
        }


def embed(
    trained: TrainedModel,
    cache: AudioCache,
    clips: Sequence[Utterance],
    steps: bool,
    subset_of: Mapping[str, str],
    folder: Path | None = None,
) -> Embeddings:
    """Embeddings of decoded clips, whatever their emotions, longest first; with `steps` the encoder's outputs too.
    What is said in them is stored in `folder`, if the model takes text. Raises InputError for a missing transcript."""
    config, labels = trained.config, trained.labels
    sources = open_sources(config)
    said = open_text(config, sources, clips, cache, folder) if sources else None
    inputs = inputs_of(trained.model, config, tokens=said.tokens if said else None)
    chosen = EvalClips(cache, clips, sorted({u.emotion for u in clips}), config, inputs)
    outputs = predict_outputs(trained.model, config, eval_loader(chosen, config))
    return Embeddings(
        tuple(chosen.utterances),
        outputs.pooled,
        tuple(labels[place] for place in outputs.logits.argmax(axis=1)),
        outputs.arousal,
        steps_of(trained.model, config, chosen) if steps else None,
        subset_of,
    )


@torch.inference_mode()
def steps_of(model: Model, config: RunConfig, clips: EvalClips) -> Steps:
    """The encoder's outputs on decoded clips. Those of a model over whole clips divide each clip evenly."""
    rate, found = config.features.sample_rate, []
    for number in range(len(clips)):
        given, n_samples, _ = clips[number]
        if isinstance(model, ClipModel):
            sound = given[0] if isinstance(model, TextModel) else given  # behind it the tokens of the text
            vectors = model.encoder(Padded.of([sound])).values[0].numpy()
            middle = (np.arange(len(vectors)) + 0.5) * n_samples / len(vectors)
        else:
            vectors = model.encoder(given[None])[0].numpy()
            middle = _middles(len(vectors), config.geometry, n_samples)
        inside = (middle >= 0) & (middle <= n_samples)
        found.append((vectors[inside], np.full(inside.sum(), number), middle[inside] / rate))
    vectors, clip, seconds = map(np.concatenate, zip(*found, strict=True))
    return Steps(vectors, clip, seconds.astype(np.float32))


def _middles(n_steps: int, geometry: StreamGeometry, n_samples: int) -> np.ndarray:
    """Middle of the frames that each step sees, without those that it only looks back on, in samples of the clip."""
    first = np.arange(n_steps) * geometry.stride_frames + geometry.lead_frames
    last = first - geometry.lead_frames + geometry.receptive_frames - 1
    before, _ = geometry.padding(n_samples)
    return (first + last) / 2 * geometry.hop_length + geometry.n_fft / 2 - before
