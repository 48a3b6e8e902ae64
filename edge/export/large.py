"""The larger bundle: a frozen speech encoder's first layers and a regression on their means, exported and verified.

The regression is that of a teacher (`crnn.training.teacher`), fitted to whole training clips; what is verified, on
development speakers, is the stream of recomputed windows (`edge.stream.window_recognizer`).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from crnn.data import prepare as preparation
from crnn.data.embeddings import open_embeddings
from crnn.data.loaders import EvalClips
from crnn.data.utterances import Utterance
from crnn.errors import InputError, require
from crnn.files.atomic import new_folder
from crnn.models.hidden_states import WhisperStates
from crnn.models.pretrained import SpeechEncoder, open_encoder
from crnn.outputs import split_outputs
from crnn.run_config import RunConfig, TeacherConfig
from crnn.training.teacher import Lessons, component_axes, fit
from crnn.whisper_features import whisper_features
from edge import bundle
from edge.export import onnx_export
from edge.export.assemble import NOT_IN_MANIFEST, headline
from edge.export.beside import Small, open_small, require_fitting
from edge.export.calibration import choose_decision, judge_decision
from edge.export.exporters import ExportedPair
from edge.export.limits import ExportLimits, VerificationError, check_request
from edge.export.onnx_export import RUNTIME
from edge.export.speaker_stats import describe, some_of_each
from edge.export.tensor_types import bytes_by_type, inventory
from edge.export.verify import Row, TorchModel, compare_all, figures_of, stream_clips
from edge.export.window_encoder import WindowEncoder, encoder_part, head_part, linear_head, window_macs
from edge.prune.step import Step
from edge.runtimes import WEIGHT_INT8
from edge.stream.decision import DecisionConfig, mean_log_probabilities
from edge.stream.pair_recognizer import PairRecognizer
from edge.stream.profile import save_speakers
from edge.stream.window_recognizer import WindowRecognizer, window_geometry

log = logging.getLogger(__name__)

WINDOW_SECONDS, INTERVAL_SECONDS = 3.0, 1.0
COMPONENTS = 128
"""Width of the pooled vector: principal components of the standardised embedding. All 1024 values would make
`speakers.npz` 60 times larger, and their covariance would be estimated from fewer clips than it has numbers"""


@dataclass(frozen=True)
class LargeRequest:
    """What the bundle is made from, and what it must be."""

    encoder: Path
    """Folder of a Whisper, in transformers' format"""
    out: Path
    """Folder to write; must not exist"""
    data: dict[str, str]
    """Corpus -> folder"""
    protocol: str = "all-six-corpora"
    fold: int = 0
    without_labels: tuple[str, ...] = ()
    """Corpora of the protocol that are left out, in training as in development"""
    cache: Path | None = None
    coverage: float = 0.9
    """Share of decisions that are not "uncertain\""""
    temperature: float | None = None
    """Of the probabilities; None = fitted to the development speakers"""
    limits: ExportLimits = field(default_factory=ExportLimits)
    beside: Path | None = None
    """A small bundle of the same split, whose model answers together with this one"""

    def __post_init__(self) -> None:
        check_request(self.out, self.coverage, self.temperature)

    @property
    def teacher(self) -> TeacherConfig:
        return TeacherConfig(str(self.encoder), components=COMPONENTS, only=self.without_labels)


@dataclass(frozen=True)
class Fitted:
    """The regression on the training speakers, the test speakers out of reach."""

    prepared: preparation.Prepared
    encoder: SpeechEncoder
    head: nn.Linear
    """`(n, width)`, embeddings -> `(n, n_classes + components)`, the columns of `crnn.outputs`"""
    embeddings: Callable[[list[str]], np.ndarray]
    """Utterance names -> `(n, width)`, of whole clips"""
    split_hash: str
    """Of the whole split, test speakers included"""

    @property
    def labels(self) -> tuple[str, ...]:
        return self.prepared.split.labels

    def clips(self, utterances: Sequence[Utterance], config: RunConfig | None = None) -> EvalClips:
        """Recordings as whole clips; with the features of `config`, where those are used."""
        return EvalClips(self.prepared.cache, utterances, self.labels, config or RunConfig())


def prepare_large(request: LargeRequest) -> preparation.Prepared:
    """The recordings, split and decoded."""
    config = replace(RunConfig(), protocol=request.protocol, fold=request.fold, teacher=request.teacher)
    data = preparation.locate_data(request.protocol, request.fold, request.data)
    return preparation.prepare(config, data, request.cache)


def fit_large(request: LargeRequest, prepared: preparation.Prepared) -> Fitted:
    """Embed the recordings (once) and fit the regression. Raises InputError as the steps do, and where the training
    speakers lack an emotion."""
    teacher = request.teacher
    encoder = open_encoder(request.encoder, teacher.layers)
    split_hash, prepared = prepared.split.hash, preparation.without_test(prepared)
    split = prepared.split
    members = [u for u in split.train if u.corpus not in teacher.only]
    missing = sorted(set(split.labels) - {u.emotion for u in members})
    require(not missing, f"no training clip is {', '.join(missing)}; name fewer corpora after --without-labels")
    corpora = [name for name in split.corpora if name not in teacher.only]
    vectors = open_embeddings(prepared.cache, corpora, encoder.key, encoder.width, encoder.embed, request.cache)
    lessons = Lessons(
        vectors.of([u.name for u in members]),
        np.array([split.labels.index(u.emotion) for u in members]),
        np.array([u.speaker for u in members]),
        np.array([u.corpus for u in members]),
    )
    regression = fit(lessons, np.arange(len(members)), teacher)
    standard = regression.standard(lessons.embeddings.astype(np.float64))
    head = linear_head(regression, component_axes(standard, min(COMPONENTS, encoder.width)), len(split.labels))
    prepared = replace(prepared, split=replace(split, train=tuple(members)))
    return Fitted(prepared, encoder, head, vectors.of, split_hash)


def draft_of(labels: tuple[str, ...], n_mels: int) -> bundle.Manifest:
    """The manifest as far as it is known before export, without a small model beside it."""
    features = whisper_features(n_mels)
    geometry = window_geometry(features, WINDOW_SECONDS, INTERVAL_SECONDS)
    return bundle.Manifest(
        bundle.WINDOW_SCHEMA, labels, features, geometry, DecisionConfig(), {}, {}, kind=bundle.WINDOW
    )


@dataclass(frozen=True)
class Exported:
    """The files of a larger bundle, and the modules they come from."""

    draft: bundle.Manifest
    pair: ExportedPair
    reference: WindowRecognizer
    """Over the modules in torch, and the files of the small model beside them"""
    n_params: int
    macs_per_window: int


def export_large(fitted: Fitted, small: Small | None, folder: Path) -> Exported:
    """Write encoder and head into `folder`, and the files of `small`."""
    whisper = fitted.encoder.hidden_states()
    if not isinstance(whisper, WhisperStates):
        raise InputError(
            f"{fitted.encoder.folder}: is of the family {fitted.encoder.family}; a larger bundle is made of a Whisper, "
            "whose features the device computes"
        )
    draft = draft_of(fitted.labels, whisper.conv1.in_channels)
    seconds = whisper.longest / draft.features.sample_rate
    require(
        seconds >= WINDOW_SECONDS,
        f"{fitted.encoder.folder}: takes {seconds:g} s at most, a window has {WINDOW_SECONDS:g} s; give another",
    )
    encoder = encoder_part(WindowEncoder(whisper, fitted.encoder.layers), draft.features, draft.geometry)
    head = head_part(fitted.head)
    pair = ExportedPair(RUNTIME, WEIGHT_INT8, *onnx_export.write_window(encoder, head, folder))
    models = [TorchModel(part.module, part.example) for part in (encoder, head)]
    reference = WindowRecognizer(models[0], models[1], draft.features, draft.geometry, draft.labels)
    if small:
        beside = small.copy_to(folder)
        arousal = small.bundle.manifest.arousal
        draft = replace(draft, schema=bundle.PAIR_SCHEMA, beside=beside, arousal=arousal)
        reference = PairRecognizer(reference, small.recognizer())
    n_params = sum(p.numel() for part in (encoder, head) for p in part.module.parameters())
    return Exported(draft, pair, reference, n_params, window_macs((encoder, head)))


@dataclass(frozen=True)
class Large:
    """The bundle that was written, and how its files differ from the model in torch."""

    manifest: bundle.Manifest
    bytes: int
    """Of all files"""
    rows: list[Row]
    steps: list[Step] = field(default_factory=list)
    """Nothing is pruned"""


def make_large(request: LargeRequest) -> Large:
    """Make the bundle `request.out`. Raises InputError for input that cannot be used, and VerificationError past a
    limit; the folder then does not exist."""
    open_encoder(request.encoder, request.teacher.layers)  # before the recordings, which take long
    small = open_small(request.beside) if request.beside else None
    prepared = prepare_large(request)
    if small:
        features = whisper_features()
        window = window_geometry(features, WINDOW_SECONDS, INTERVAL_SECONDS)
        require_fitting(small, prepared.split, features.sample_rate, window)
    fitted = fit_large(request, prepared)
    split = fitted.prepared.split
    dev = fitted.clips(some_of_each(split.dev))
    with new_folder(request.out) as folder:
        made = export_large(fitted, small, folder)
        log.info("verifying on %d clips of development speakers", len(dev))
        reference = stream_clips(made.reference, dev)
        figures = figures_of(reference, dev, fitted.labels)
        rows = compare_all(
            [made.pair], {RUNTIME: WEIGHT_INT8}, made.draft, dev, reference, figures["uar"], request.limits
        )
        if rows[0].comparison.failures:
            raise VerificationError([], rows)
        truth = dev.labels[reference.owner]
        voices = np.array([u.speaker for u in dev.utterances])[reference.owner]
        decision, chosen_on = choose_decision(
            reference.decisions, truth, request.coverage, reference.owner, voices, request.temperature
        )
        confidence = judge_decision(reference.decisions, truth, decision, chosen_on)
        _save_speakers(fitted, small, folder)
        row = {key: value for key, value in rows[0].facts().items() if key not in NOT_IN_MANIFEST}
        origin = _origin(fitted, small) | {
            "n_params": made.n_params + (small.origin["n_params"] if small else 0),
            "macs_per_window": made.macs_per_window + (small.origin["macs_per_window"] if small else 0),
            "trained_model": {"dev": headline(figures)},
            "files_on_dev": [row],
            "confidence_dev": asdict(confidence),
            "tensors": {name: bytes_by_type(inventory(folder / name)) for name in rows[0].names},
            **({"beside": small.describe()} if small else {}),
        }
        models = {RUNTIME: asdict(made.pair.files)}
        manifest = replace(made.draft, models=models, decision=decision, provenance=origin)
        manifest = bundle.seal(folder, manifest, made.reference)
        bundle.Bundle.open(folder).recognizer(RUNTIME)  # as a device opens it
        size = sum(path.stat().st_size for path in folder.iterdir())
    return Large(manifest, size, rows)


def _save_speakers(fitted: Fitted, small: Small | None, folder: Path) -> None:
    """How training speakers differ, from the embeddings of whole clips, and what `small` says of these."""
    voices, labels = some_of_each(fitted.prepared.split.train), fitted.labels
    embeddings = torch.from_numpy(fitted.embeddings([u.name for u in voices]))
    with torch.inference_mode():
        made = split_outputs(fitted.head(embeddings).numpy(), len(labels), arousal=False)
    logits = made.logits
    if small:
        logits = mean_log_probabilities(logits, stream_clips(small.recognizer(), fitted.clips(voices)).clips)
    truth = np.array([labels.index(u.emotion) for u in voices])
    speakers = np.array([u.speaker for u in voices])
    save_speakers(describe(logits, made.pooled, truth, speakers, labels), folder / bundle.SPEAKERS)


def _origin(fitted: Fitted, small: Small | None) -> dict:
    """Where the bundle comes from; its licence follows from the encoder's and the corpora's, those of `small` too."""
    split = fitted.prepared.split
    theirs = small.origin if small else {}
    return {
        "corpus": "+".join(split.corpora),
        "protocol": split.protocol,
        "fold": split.fold,
        "split_hash": fitted.split_hash,
        "corpora_heard": sorted({*split.corpora, *theirs.get("corpora_heard", ())}),
        "synthetic": split.corpora == ("synthetic",),
        "speaker_dependent": split.speaker_dependent or theirs.get("speaker_dependent", False),
        "contains": fitted.encoder.describe(),
        "pruning": 0.0,
        "made_with": {name: version(name) for name in (*onnx_export.MADE_WITH, "transformers", "scikit-learn")},
    }
