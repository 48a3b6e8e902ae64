"""Readers for emotional-speech corpora as their owners distribute them (or re-encoded as flac, ogg, ...).

A reader walks a folder, parses file names, and returns utterances; it decodes nothing. A file that it cannot parse is
reported in `Corpus.skipped`.
"""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from crnn import labels
from crnn.data.audio_files import audio_files, unusable_file
from crnn.data.crema_d import actor_sexes, voice_votes
from crnn.errors import require

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Utterance:
    """One recording and what its corpus says about it."""

    path: Path
    corpus: str
    speaker_id: str
    sex: str | None
    """female, male, or None where unknown"""
    emotion: str
    """The intended emotion, a name of labels.EMOTIONS (own recordings: any name)"""
    intensity: str | None = None
    sentence: str | None = None
    take: str | None = None
    votes: tuple[tuple[str, float], ...] | None = None
    """Listeners' votes (emotion, share), shares sum to 1; None where there are none"""
    part: str | None = None
    """train, dev or test, where the owner of the recordings has divided them"""
    key: str | None = None
    """Unique within the corpus, where the file name alone is not"""
    segment: tuple[float, float | None] | None = None
    """Start and end within the file in seconds; end None: to its end; None: the whole file"""

    @property
    def name(self) -> str:
        """Corpus and file name without folder and extension, the same for wav and flac; or corpus and `key`."""
        return f"{self.corpus}/{self.key or self.path.stem}"

    @property
    def place(self) -> str:
        """The file, and which seconds of it, for messages."""
        if self.segment is None:
            return str(self.path)
        start, end = self.segment
        return f"{self.path} from {start:g} s" + ("" if end is None else f" to {end:g} s")

    @property
    def speaker(self) -> str:
        """Corpus and speaker: two corpora may both have a speaker 03."""
        return f"{self.corpus}:{self.speaker_id}"


@dataclass(frozen=True)
class Corpus:
    """What a reader found."""

    name: str
    utterances: tuple[Utterance, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    """File -> why it is not among the utterances"""


class Skip(Exception):
    """Raised by a parser: the file belongs to the corpus but cannot be used; the text says why."""


Parsed = Utterance | None
Parser = Callable[[Path], Parsed]


def read_corpus(name: str, root: Path) -> Corpus:
    """Read the corpus `name` (a key of READERS) below the folder `root`, in file-name order.

    A file that lies there twice, byte for byte, counts once (Kaggle's archives hold every recording twice).
    Raises InputError if the folder is missing, holds no file name of that corpus, or two files of one name that differ.
    """
    require(name in READERS, f"unknown corpus {name}; known: {', '.join(READERS)}")
    root = Path(root)
    require(root.is_dir(), f"{root}: no such folder (expected the {name} recordings there)")
    parse = READERS[name](root)
    utterances, skipped, foreign = [], {}, 0
    for path in audio_files(root):
        reason = unusable_file(path, root)
        if reason:
            skipped[str(path)] = reason
            continue
        try:
            utterance = parse(path)
        except Skip as reason:
            skipped[str(path)] = str(reason)
            continue
        if utterance is None:
            skipped[str(path)] = f"not a {name} file name"
            foreign += 1
        else:
            utterances.append(utterance)
    most = "".join(f", most of them: {why}" for why, _ in Counter(skipped.values()).most_common(1))
    require(
        len(utterances) > 0,
        f"{root}: no usable {name} recording ({foreign} audio files with other names, "
        f"{len(skipped) - foreign} skipped{most}); check the corpus name and the folder",
    )
    copies = _copies(utterances)
    if copies:
        copy, original = next(iter(copies.items()))
        log.warning(
            "%d of %d %s files are identical copies of others and left out (%s is %s)",
            len(copies), len(utterances), name, copy, original,
        )  # fmt: skip
        skipped |= dict.fromkeys(map(str, copies), "an identical copy of another file of this name")
    return Corpus(name, tuple(u for u in utterances if u.path not in copies), skipped)


def _copies(utterances: list[Utterance]) -> dict[Path, Path]:
    """File -> the file of the same name that it equals byte for byte. Raises InputError if they differ."""
    named = defaultdict(list)
    for u in utterances:
        named[u.name].append(u.path)
    copies = {}
    for name, (first, *others) in named.items():
        for other in others:
            require(
                first.stat().st_size == other.stat().st_size and first.read_bytes() == other.read_bytes(),
                f"{first} and {other} are both {name} and differ; give a folder that holds one of them",
            )
            copies[other] = first
    return copies


def _emotion(codes: dict[str, str], code: str) -> str:
    if code not in codes:
        raise Skip(f"unknown emotion code {code!r}; known: {', '.join(codes)}")
    return codes[code]


def _ravdess_names(corpus: str) -> Callable[[Path], Parser]:
    """RAVDESS (Livingstone & Russo 2018), Actor_NN/MM-VC-EE-II-SS-RR-AA.wav; odd actors are male."""
    pattern = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")

    def parse(path: Path) -> Parsed:
        match = pattern.fullmatch(path.stem)
        if not match:
            return None
        modality, channel, code, intensity, sentence, take, actor = match.groups()
        if modality != "03":
            raise Skip("sound of a video; the release has the same voice as an audio-only file (03-...)")
        if channel != "01":
            raise Skip("sung, not spoken")
        return Utterance(
            path,
            corpus,
            actor,
            "male" if int(actor) % 2 else "female",
            _emotion(labels.RAVDESS, code),
            {"01": "normal", "02": "strong"}.get(intensity),
            sentence,
            take,
        )

    return lambda root: parse


def _crema_d(root: Path) -> Parser:
    """CREMA-D (Cao et al. 2014), 1001_IEO_ANG_HI.wav, with demographics and crowd votes where the csv files are."""
    pattern = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX?)")
    sexes, votes = actor_sexes(root), voice_votes(root)
    # Six names, three recordings: the release holds the same audio under two labels, and no one can say which is right.
    twins = {
        "1017_IWW_ANG_XX": "1017_IWW_FEA_XX",
        "1006_TIE_HAP_XX": "1006_TIE_NEU_XX",
        "1013_WSI_DIS_XX": "1013_WSI_SAD_XX",
    }
    twins |= {b: a for a, b in twins.items()}

    def parse(path: Path) -> Parsed:
        match = pattern.fullmatch(path.stem)
        if not match:
            return None
        actor, sentence, code, level = match.groups()
        if path.stem in twins:
            raise Skip(f"the same audio as {twins[path.stem]}, under another label")
        return Utterance(
            path,
            "crema_d",
            actor,
            sexes.get(actor),
            _emotion(labels.CREMA_D, code),
            {"LO": "low", "MD": "medium", "HI": "high"}.get(level),
            sentence,
            None,
            votes.get(path.stem),
        )

    return parse


def _emodb(root: Path) -> Parser:
    """Berlin EmoDB (Burkhardt et al. 2005), 03a01Fa.wav: speaker, text, emotion letter (German), version."""
    pattern = re.compile(r"(\d\d)([a-z]\d\d)([A-Z])([a-z])")
    men = {"03", "10", "11", "12", "15"}

    def parse(path: Path) -> Parsed:
        match = pattern.fullmatch(path.stem)
        if not match:
            return None
        speaker, text, code, version = match.groups()
        sex = "male" if speaker in men else "female"
        return Utterance(path, "emodb", speaker, sex, _emotion(labels.EMODB, code), None, text, version)

    return parse


def _savee(root: Path) -> Parser:
    """SAVEE (Haq & Jackson 2009), DC/a01.wav or DC_a01.wav; four men."""
    pattern = re.compile(r"(?:([A-Z]{2})_)?([a-z]{1,2})(\d\d)")

    def parse(path: Path) -> Parsed:
        match = pattern.fullmatch(path.stem)
        if not match:
            return None
        speaker, code, number = match.groups()
        speaker = speaker or path.parent.name
        if not re.fullmatch(r"[A-Z]{2}", speaker):
            raise Skip("no speaker: neither the file name nor its folder gives two capital letters")
        sentence = f"{code}{number}"
        emotion = _emotion(labels.SAVEE, code)
        return Utterance(path, "savee", speaker, "male", emotion, None, sentence, key=f"{speaker}_{sentence}")

    return parse


def _tess(root: Path) -> Parser:
    """TESS (Pichora-Fuller & Dupuis 2020), OAF_back_angry.wav; two women. The release also spells OAF as OA once."""
    pattern = re.compile(r"(OAF?|YAF)_([a-z]+)_([A-Za-z]+)")

    def parse(path: Path) -> Parsed:
        match = pattern.fullmatch(path.stem)
        if not match:
            return None
        speaker, word, code = match.groups()
        speaker = "OAF" if speaker == "OA" else speaker
        return Utterance(path, "tess", speaker, "female", _emotion(labels.TESS, code.lower()), None, word)

    return parse


def _iemocap(root: Path) -> Parser:
    """IEMOCAP (Busso et al. 2008), Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav.

    The label of each turn stands in Session1/dialog/EmoEvaluation/*.txt; the session letter names who wore the
    markers, the last letter who speaks.
    """
    pattern = re.compile(r"(Ses\d\d)[FM]_(\w+)_([FM])([A-Z]?\d+)")
    line = re.compile(r"^\[[\d.]+ - [\d.]+\]\t(\S+)\t(\w+)\t", re.MULTILINE)
    codes: dict[str, str] = {}
    for evaluation in sorted(root.rglob("EmoEvaluation/*.txt")):
        if not evaluation.name.startswith("."):
            codes |= dict(line.findall(evaluation.read_text(encoding="utf-8", errors="replace")))

    def parse(path: Path) -> Parsed:
        match = pattern.fullmatch(path.stem)
        if not match:
            return None
        session, dialog, letter, turn = match.groups()
        if path.stem not in codes:
            raise Skip("no label in dialog/EmoEvaluation (give the folder that holds Session1 .. Session5)")
        if codes[path.stem] == "xxx":
            raise Skip("the listeners did not agree on an emotion")
        sex = "female" if letter == "F" else "male"
        emotion = _emotion(labels.IEMOCAP, codes[path.stem])
        return Utterance(path, "iemocap", f"{session}{letter}", sex, emotion, None, dialog, turn)

    return parse


READERS: dict[str, Callable[[Path], Parser]] = {
    "ravdess": _ravdess_names("ravdess"),
    "crema_d": _crema_d,
    "emodb": _emodb,
    "savee": _savee,
    "tess": _tess,
    "iemocap": _iemocap,
    "synthetic": _ravdess_names("synthetic"),
}
