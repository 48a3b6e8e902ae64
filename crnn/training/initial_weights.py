"""Start from a trained model's weights, if its training speakers are not development or test speakers of this run."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from crnn.config import FeatureConfig, ModelConfig, WindowConfig
from crnn.data.corpora import READERS, Skip, Utterance
from crnn.data.corrections import CORRECTIONS
from crnn.data.own_entries import OWN
from crnn.data.protocols import LeakError, Split
from crnn.data.utterances import EVERYONE
from crnn.errors import require
from crnn.labels import canonical
from crnn.models.crnn import CRNN, WindowModel
from crnn.run_config import START, RunConfig, require_crnn
from crnn.training.checkpoint import model_weights
from crnn.training.run_folder import RunFolder

AROUSAL, CONTINUOUS = "head.arousal.", "head.continuous."
"""Beginnings of the names of the weights that estimate arousal and continuous labels"""


@dataclass(frozen=True)
class Start:
    """A trained model to start from."""

    name: str
    """As the user named it"""
    labels: tuple[str, ...]
    features: FeatureConfig
    model: ModelConfig
    window: WindowConfig
    weights: dict[str, Tensor]
    trained_on: tuple[str, ...]
    """ "corpus:speaker" or "corpus:*", all that the weights were trained on or chosen on"""
    split_hash: str = ""
    """Hash of the split it was trained under, without corrections; empty if unknown"""
    taught_by: tuple[dict, ...] = ()
    """Speech encoders that taught it"""

    @property
    def settings(self) -> dict[str, object]:
        """Defaults for a run that starts here, by option: `{"features.n_mels": 64, ...}`."""
        return {
            f"{room}.{key}": value
            for room in ("features", "model", "window")
            for key, value in asdict(getattr(self, room)).items()
        }


def start_of_run(run: Path) -> Start:
    """A run folder. Raises InputError if it is unfinished or does not say on whom it was trained."""
    folder = RunFolder(run)
    labels, trained_on = folder.labels(), tuple(folder.trained_on())
    config, _, _ = folder.read_config()
    require_crnn(config, run, START)
    require(folder.best_checkpoint.is_file(), f"{folder.best_checkpoint}: no such file; train it again")
    weights = model_weights(folder.best_checkpoint)
    shapes = CRNN(config.features, config.model, len(labels)).state_dict()
    require(
        weights.keys() == shapes.keys() and all(weights[name].shape == value.shape for name, value in shapes.items()),
        f"{folder.best_checkpoint}: does not fit {folder.path / 'config.json'} and split.json; train it again",
    )
    require(
        all(bool(value.isfinite().all()) for value in weights.values()),
        f"{folder.best_checkpoint}: holds NaN or infinite weights; train it again",
    )
    return Start(
        str(run),
        labels,
        config.features,
        config.model,
        config.window,
        weights,
        trained_on,
        split_hash=folder.split_hash(),
        taught_by=folder.taught_by(),
    )


def start_from(model: WindowModel, config: RunConfig, start: Start, split: Split) -> list[str]:
    """Copy the weights of `start` into `model`; classifier rows by the names of their emotions (`labels.canonical`:
    "anger" is "angry"). Rows of other emotions do not change, nor does the estimate of arousal if `start` has none; if
    `model` has none, that of `start` is left out. Continuous labels are taken over if both have the same. Returns the
    speakers those weights were trained on.

    Raises InputError if `config` describes another model, LeakError if the start was trained, or its epoch chosen, on a
    speaker whom `split` uses to develop or test.
    """
    refuse_trained_on(start, split)
    refuse_other_settings(start, config)
    ours = model.state_dict()
    same_labels = start.model.continuous == config.model.continuous

    def is_taken(name: str) -> bool:
        if name.startswith(CONTINUOUS):
            return same_labels
        return name in ours or not name.startswith(AROUSAL)

    weights = {name: value for name, value in ours.items() if name.startswith((AROUSAL, CONTINUOUS))}
    weights |= {name: value for name, value in start.weights.items() if is_taken(name)}
    for name in ("head.classifier.weight", "head.classifier.bias"):
        weights[name] = _by_label(ours[name], weights[name], split.labels, start.labels)
    model.load_state_dict(weights)
    return list(start.trained_on)


def refuse_trained_on(start: Start, split: Split) -> None:
    """Raises LeakError, naming the speakers, if `start` was trained on development or test speakers of `split`; or
    naming the recording, if own data contain a file name of a corpus that `start` was trained on.

    To learn from corrections a model may continue under exactly the split it was trained under: its development
    speakers stay the same, and its test speakers are still unseen.
    """
    if CORRECTIONS in split.corpora and start.split_hash == split.original_hash:
        return
    known_before = set(start.trained_on)
    corpora = sorted({speaker.split(":")[0] for speaker in known_before} & set(READERS))
    parsers = {corpus: READERS[corpus](Path("/nonexistent")) for corpus in corpora}
    for part in ("dev", "test", "dev_unseen"):
        members = getattr(split, part)
        known = {speaker for u in members for speaker in (u.speaker, f"{u.corpus}:{EVERYONE}")} & known_before
        if known:
            named = ", ".join(sorted(known)[:5]).replace(f":{EVERYONE}", "")
            # A bundle names corpora alone: it must not publish the names of speakers.
            hint = (
                ", or its run folder, which lists its speakers" if any(EVERYONE in speaker for speaker in known) else ""
            )
            if f"{OWN}:{EVERYONE}" in known:
                hint = "; its recordings name no speakers, so it may be anybody in these: name them there"
            if CORRECTIONS in split.corpora:
                own = f"{start.split_hash or 'unknown'}, not {split.original_hash}"
                hint += f"; or go on under its own protocol, fold and recordings (split {own})"
            raise LeakError(
                f"--init {start.name}: it was trained on {named}, who are {part} here; use another run{hint}"
            )
        for u in members:
            for corpus, parse in parsers.items():
                if u.corpus not in READERS and _says(parse, u, corpus) & known_before:
                    raise LeakError(
                        f"--init {start.name}: it was trained on {corpus}, and {u.path} ({part}) has a name of "
                        "that corpus; leave such recordings out, or use another run"
                    )


def _says(parse, utterance: Utterance, corpus: str) -> set[str]:
    """The speaker of a file name, by the reader of its corpus."""
    try:
        parsed = parse(utterance.path)
    except Skip:
        return {f"{corpus}:{EVERYONE}"}
    return {parsed.speaker, f"{corpus}:{EVERYONE}"} if parsed else set()


def speakers_by_name(utterances: Iterable[Utterance]) -> set[str]:
    """The speakers of known corpora ("corpus:speaker") whose recordings, by the names of their files, are among these
    recordings of one's own. Files without labels are often taken from a corpus."""
    own = [u for u in utterances if u.corpus == OWN]
    known: set[str] = set()
    for corpus, reader in READERS.items():
        parse = reader(Path("/nonexistent"))
        for found in (_says(parse, u, corpus) for u in own):
            known |= found - {f"{corpus}:{EVERYONE}"} or found  # everyone, where the name does not tell who
    return known


def refuse_other_settings(start: Start, config: RunConfig) -> None:
    """Weights are valid only with the features and the model settings of their training."""
    given = {f"{room}.{k}": v for room in ("features", "model") for k, v in asdict(getattr(config, room)).items()}
    differing = {key: value for key, value in start.settings.items() if key in given and given[key] != value}
    # No weight depends on the first two; estimates may be added, and left out.
    for key in ("model.dropout", "model.spectral_floor_db", "model.arousal", "model.continuous"):
        differing.pop(key, None)
    require(
        not differing,
        f"--init {start.name}: its model has other settings; leave yours out, or give "
        + " ".join(f"--{key} {_option(value)}" for key, value in differing.items()),
    )


def _option(value: object) -> str:
    """A setting as it is typed: `"[16,24]"`."""
    return '"[' + ",".join(map(str, value)) + ']"' if isinstance(value, (tuple, list)) else str(value)


def _by_label(ours: Tensor, theirs: Tensor, our_labels: Iterable[str], their_labels: tuple[str, ...]) -> Tensor:
    merged = ours.clone()
    places = {canonical(label): row for row, label in enumerate(their_labels)}
    places |= {label: row for row, label in enumerate(their_labels)}
    for row, label in enumerate(our_labels):
        place = places.get(label, places.get(canonical(label)))
        if place is not None:
            merged[row] = theirs[place]
    return merged
