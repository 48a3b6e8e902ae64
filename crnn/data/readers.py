"""One reader per corpus: what its files' names say, as their owners distribute them (or re-encoded as flac, ogg, ...).

READERS has one entry per corpus. A reader is given the folder, which may hold tables beside the recordings, and returns
a function from a file to its utterance: None where the name is not of that corpus, Skip where the file cannot be used.
No torch; nothing is decoded.
"""

import re
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path

from crnn import labels
from crnn.data.crema_d import LEFT_OUT, actor_sexes, voice_listeners
from crnn.data.utterances import Utterance


class Skip(Exception):
    """Raised by a parser: the file belongs to the corpus but cannot be used; the text says why."""


Parsed = Utterance | None
Parser = Callable[[Path], Parsed]


def _emotion(codes: dict[str, str], code: str) -> str:
    if code not in codes:
        raise Skip(f"unknown emotion code {code!r}; known: {', '.join(codes)}")
    return codes[code]


def by_name(
    corpus: str,
    pattern: str,
    codes: dict[str, str],
    sex: Callable[[str], str | None],
    code: Callable[[re.Match], str] = itemgetter("emotion"),
    nobody: str | None = None,
) -> Callable[[Path], Parser]:
    """Reader of a corpus whose file names say all.

    Args:
        pattern: matches the whole name, without extension; its groups are `speaker`, what `code` needs and, where the
            names have them, `sentence` and `take`.
        codes: the corpus's codes of emotions, from `crnn.labels`.
        sex: of a speaker; None where unknown.
        code: the code of the emotion, from a name that matched.
        nobody: what stands for the speaker where the owners do not know who speaks; such files are left out.
    """
    compiled = re.compile(pattern)

    def parse(path: Path) -> Parsed:
        found = compiled.fullmatch(path.stem)
        if not found:
            return None
        groups = found.groupdict()
        if groups["speaker"] == nobody:
            raise Skip("its owners do not know who speaks, so it may be anybody of train, dev or test")
        speaker, emotion = groups["speaker"], _emotion(codes, code(found))
        return Utterance(path, corpus, speaker, sex(speaker), emotion, None, groups.get("sentence"), groups.get("take"))

    return lambda root: parse


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
    sexes, listeners = actor_sexes(root), voice_listeners(root)

    def parse(path: Path) -> Parsed:
        match = pattern.fullmatch(path.stem)
        if not match:
            return None
        actor, sentence, code, level = match.groups()
        if path.stem in LEFT_OUT:
            raise Skip(LEFT_OUT[path.stem])
        said = listeners.get(path.stem)
        return Utterance(
            path,
            "crema_d",
            actor,
            sexes.get(actor),
            _emotion(labels.CREMA_D, code),
            {"LO": "low", "MD": "medium", "HI": "high"}.get(level),
            sentence,
            None,
            said.votes if said else None,
            ratings=said.ratings if said else None,
        )

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


def _one_of(women: str, men: str) -> Callable[[str], str | None]:
    """Speaker -> sex, given all speakers, with spaces between them; None for anybody else."""
    sexes = dict.fromkeys(women.split(), "female") | dict.fromkeys(men.split(), "male")
    return sexes.get


READERS: dict[str, Callable[[Path], Parser]] = {
    "ravdess": _ravdess_names("ravdess"),
    "crema_d": _crema_d,
    # Berlin EmoDB (Burkhardt et al. 2005), 03a01Fa.wav: speaker, text, emotion (a German letter), version.
    "emodb": by_name(
        "emodb",
        r"(?P<speaker>\d\d)(?P<sentence>[a-z]\d\d)(?P<emotion>[A-Z])(?P<take>[a-z])",
        labels.EMODB,
        _one_of("08 09 13 14 16", "03 10 11 12 15"),
    ),
    # EMOVO (Costantini et al. 2014), Italian, f1/dis-f1-b1.wav: emotion, speaker, sentence.
    "emovo": by_name(
        "emovo",
        r"(?P<emotion>[a-z]{3})-(?P<speaker>[fm]\d)-(?P<sentence>[a-z]\d)",
        labels.EMOVO,
        _one_of("f1 f2 f3", "m1 m2 m3"),
    ),
    # The emotional part of the emotiontts open DB, Korean, nea00101.wav: speaker and number. The number says the
    # emotion; it is no sentence, because the speakers em. and ne. read different ones.
    "emotiontts": by_name(
        "emotiontts",
        r"(?P<speaker>(?:em|ne)[a-z])(?P<number>\d{5})",
        labels.EMOTIONTTS,
        _one_of("ema emb nea neb nec ned nee", "emf emg emh nek nel nem nen neo"),
        code=lambda found: f"{(int(found['number']) - 1) // 100:03d}",
    ),
    # Indian EmoSpeech Command (Banga et al. 2019), English and Hindi, help-safe-angry-1562907046662-<56 digits>.wav:
    # keyword, environment, emotion, time (lost in some: ??) and speaker. 12 of the 56 hexadecimal digits name a person.
    "emospeech_india": by_name(
        "emospeech_india",
        r"(?P<sentence>[a-z]+)-[a-z ]+-(?P<emotion>[A-Za-z]+)-(?:\d+|\?\?)-(?P<speaker>[0-9a-f]{12})[0-9a-f]{44}",
        labels.EMOSPEECH_INDIA,
        sex=lambda speaker: None,
        nobody="d14a028c2a3a",
    ),
    "savee": _savee,
    "tess": _tess,
    "iemocap": _iemocap,
    "synthetic": _ravdess_names("synthetic"),
}
