"""Plays test clips through the whole listening loop, and computes its figures and those of whole clips."""

import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crnn.data import prepare as preparation
from crnn.data.cache import AudioCache, merged
from crnn.data.corpora import Utterance
from crnn.data.own_data import PLACES
from crnn.data.own_entries import OWN
from crnn.data.protocols import corpora_tested, n_folds, protocol_names
from crnn.data.readers import READERS
from crnn.errors import require
from crnn.metrics import at_chance, chance, summarize
from crnn.run_config import LAYOUT, RunConfig
from edge.bundle import WINDOW, Manifest
from edge.export.calibration import coverage_curve
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.decision import probabilities
from edge.stream.recognizer import StreamingRecognizer, clip_decisions
from edge.stream.results import Segment, Verdict

log = logging.getLogger(__name__)

CHUNK_SECONDS = 0.1
HEADLINE = ("uar", "uar_ci95", "wa", "wa_ci95", "macro_f1", "wf1", "ece")


@dataclass(frozen=True)
class Clips:
    """Recordings of speakers that the bundle was not trained on."""

    utterances: tuple[Utterance, ...]
    cache: AudioCache
    split_hash: str | None
    """None where whole corpora are played, without a protocol"""


def unseen_clips(
    manifest: Manifest,
    protocol: str | None,
    fold: int,
    given: dict[str, str],
    cache_folder: Path | None = None,
    trained_too: bool = False,
) -> Clips:
    """The test clips of a fold, or without a protocol every clip of the corpora in `given` (corpus -> folder), whose
    emotion is a label of the bundle.

    Raises InputError if the bundle may be trained on their speakers: of a corpus it was made with, only the test
    speakers of its own protocol and fold may be played. With `trained_too` everybody may.
    """
    made = manifest.provenance
    require(
        trained_too or "corpora_heard" in made,
        "bundle.json: does not say which corpora the bundle was trained on; make it again",
    )
    trained_on = set() if trained_too else set(made["corpora_heard"])
    if protocol is None:
        known = sorted(trained_on & set(given))
        require(
            not known,
            f"--data {', '.join(known)}: the bundle was trained on speakers of it; {_instead(made)}",
        )
        opened = [
            preparation.open_corpus(name, root, LAYOUT, manifest.features.sample_rate, cache_folder)
            for name, root in sorted(given.items())
        ]
        cache = merged(cache for _, cache in opened)
        found = tuple(u for corpus, _ in opened for u in corpus.utterances if u.name in cache.clips)
        split_hash = None
    else:
        # Before recordings are asked for, with which it would be refused all the same
        tested = corpora_tested(protocol, fold)
        require(
            len(tested) > 0,
            f"{protocol} fold {fold} has no test speakers; {'name --data alone' if trained_too else _instead(made)}",
        )
        known = sorted(trained_on & set(tested))
        require(
            (made.get("protocol"), made.get("fold")) == (protocol, fold) or not known,
            f"{protocol} fold {fold}: the bundle was trained on speakers of {', '.join(known)}; {_instead(made)}",
        )
        config = RunConfig(protocol=protocol, fold=fold)
        if manifest.kind != WINDOW:  # whose features no training run of this project has; the rate is the same
            config = replace(config, features=manifest.features)
        data = preparation.locate_data(protocol, fold, given)
        prepared = preparation.prepare(config, data, cache_folder)
        split, cache, found = prepared.split, prepared.cache, prepared.split.test
        split_hash = split.hash
        require(
            made.get("split_hash") == split_hash or not known,
            f"{protocol} fold {fold}, split {split_hash}: the bundle was trained on speakers of {', '.join(known)}; "
            f"only those of its split {made.get('split_hash')} were left out: give the recordings it was made with",
        )
    clips = tuple(u for u in found if u.emotion in manifest.labels)
    require(len(clips) > 0, f"no recording has an emotion of the bundle ({', '.join(manifest.labels)})")
    if len(clips) < len(found):
        log.warning("%d of %d recordings left out: the bundle has no such emotion", len(found) - len(clips), len(found))
    return Clips(clips, cache, split_hash)


def _instead(made: dict[str, Any]) -> str:
    """What the bundle whose provenance is `made` may be played, in place of what is refused."""
    protocol: Any = made.get("protocol")
    fold: Any = made.get("fold")
    known = isinstance(protocol, str) and protocol in protocol_names() and isinstance(fold, int)
    if known and 0 <= fold < n_folds(protocol) and corpora_tested(protocol, fold):
        return f"play its own test fold: --protocol {protocol} --fold {fold}"
    others = [name for name in READERS if name not in made.get("corpora_heard", ()) and name != "synthetic"]
    own = "" if OWN in made.get("corpora_heard", ()) else f", or your own recordings: {PLACES}"
    return f"its training left nobody out to test; play other people, --data CORPUS:FOLDER of {', '.join(others)}{own}"


def by_corpus(clips: Clips) -> dict[str, Clips]:
    """The clips of each corpus, in the order of their names."""
    corpora = sorted({u.corpus for u in clips.utterances})
    return {name: replace(clips, utterances=tuple(u for u in clips.utterances if u.corpus == name)) for name in corpora}


def whole_clip(recognizer: StreamingRecognizer, waveform: np.ndarray) -> np.ndarray:
    """Probabilities `(n_classes,)` of the mean logits over all windows of `waveform (time,)`, without VAD."""
    return probabilities(clip_decisions(recognizer, waveform).mean(axis=0), recognizer.decision.temperature)


@dataclass(frozen=True)
class Played:
    """Results of the loop on some clips, in their order."""

    truth: np.ndarray
    """Class indices `(n,)`"""
    whole: np.ndarray
    """Probabilities `(n, n_classes)` of the mean logits over all windows of the clip, without VAD"""
    stream: np.ndarray
    """Probabilities `(n, n_classes)` of the longest segment; 0 for the truth, and equal for the others, in a clip in
    which the VAD detects no voice, which counts as wrong"""
    verdicts: tuple[Verdict | None, ...]
    """Of that segment"""
    n_segments: np.ndarray
    """Segments with a voice, per clip `(n,)`"""


def play(loop: UtteranceRecognizer, clips: Clips) -> Played:
    """Play every clip, in chunks as a microphone gives them."""
    recognizer: StreamingRecognizer = loop.recognizer
    labels = recognizer.labels
    chunk = round(CHUNK_SECONDS * recognizer.features.sample_rate)
    truth = np.array([labels.index(u.emotion) for u in clips.utterances])
    whole, stream, verdicts, n_segments = [], [], [], []
    for u, label in zip(clips.utterances, truth, strict=True):
        waveform = clips.cache.waveform(u.name)
        whole.append(whole_clip(recognizer, waveform))
        loop.reset()
        results = [r for at in range(0, len(waveform), chunk) for r in loop.push(waveform[at : at + chunk])]
        results += loop.flush()
        segments = [result for result in results if isinstance(result, Segment)]
        longest = max(segments, key=lambda segment: segment.end_seconds - segment.start_seconds)
        verdicts.append(longest.verdict)
        if longest.verdict is Verdict.NO_SPEECH:
            stream.append(np.where(np.arange(len(labels)) == label, 0.0, 1 / (len(labels) - 1)))
        else:
            stream.append(np.array([longest.probs[name] for name in labels]))
        n_segments.append(sum(segment.verdict is not Verdict.NO_SPEECH for segment in segments))
    loop.reset()
    return Played(truth, np.stack(whole), np.stack(stream).astype(np.float32), tuple(verdicts), np.array(n_segments))


def judge(played: Played, utterances: tuple[Utterance, ...], labels: tuple[str, ...]) -> dict:
    """Plain values: figures of whole clips and of the stream (abstaining or not), which share abstains and why, the
    figures of those answered, and both coverage-accuracy curves."""
    answered = np.array([verdict is None for verdict in played.verdicts])
    reasons = Counter(verdict.value for verdict in played.verdicts if verdict is not None)
    n = len(played.truth)
    made: dict = {"n_clips": n}
    for mode, probs in (("whole", played.whole), ("stream", played.stream)):
        figures = summarize(probs, played.truth, utterances, labels)
        made[mode] = {key: figures[key] for key in HEADLINE}
        made[mode] |= {"chance": chance(figures), "at_chance": at_chance(figures, f"these speakers ({mode})")}
        made[mode]["curve"] = coverage_curve(probs.max(axis=1), probs.argmax(axis=1) == played.truth)
    made["abstained"] = {verdict.value: reasons[verdict.value] / n for verdict in Verdict}
    made["answered"] = {"share": float(answered.mean())}
    if answered.any():
        with_answer = [u for u, given in zip(utterances, answered, strict=True) if given]
        figures = summarize(played.stream[answered], played.truth[answered], with_answer, labels)
        made["answered"] |= {key: figures[key] for key in ("uar", "wa")}
    made["segments_per_clip"] = float(played.n_segments.mean())
    return made
