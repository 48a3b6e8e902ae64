"""Emotion names, their order, and each corpus's codes for them. No torch."""

EMOTIONS = (
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
    "bored",
    "excited",
    "frustrated",
    "other",
)
"""Every emotion name this project uses; a label set is a subset in this order."""

ALIASES = {
    "neutrality": "neutral",
    "calmness": "calm",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "anger": "angry",
    "fear": "fearful",
    "disgusted": "disgust",
    "surprise": "surprised",
    "boredom": "bored",
    "excitement": "excited",
    "frustration": "frustrated",
}
"""Other words for these emotions. Nothing is renamed by them: they say which classes of two models are the same"""


def canonical(name: str) -> str:
    """This project's word for an emotion, or the name itself where it has none.

    >>> canonical("anger"), canonical("angry"), canonical("sarcastic")
    ('angry', 'angry', 'sarcastic')
    """
    return ALIASES.get(name, name)


RAVDESS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
CREMA_D = {"NEU": "neutral", "HAP": "happy", "SAD": "sad", "ANG": "angry", "FEA": "fearful", "DIS": "disgust"}
CREMA_D_VOTES = {code[0]: emotion for code, emotion in CREMA_D.items()}
EMODB = {
    "N": "neutral",
    "F": "happy",
    "T": "sad",
    "W": "angry",
    "A": "fearful",
    "E": "disgust",
    "L": "bored",
}
EMOVO = {
    "neu": "neutral",
    "gio": "happy",
    "tri": "sad",
    "rab": "angry",
    "pau": "fearful",
    "dis": "disgust",
    "sor": "surprised",
}
EMOTIONTTS = {"000": "neutral", "001": "happy", "002": "angry", "003": "sad"}
"""Hundreds of the clip's number, counted from 1: 00001 to 00100 are neutral"""
EMOSPEECH_INDIA = {"calm": "neutral", "happy": "happy", "angry": "angry", "fearful": "fearful"}
"""Its `calm` is the state without emotion that a corpus needs beside three others: neutral here. In RAVDESS, which has
both, calm is an acted state of its own"""
SAVEE = {
    "n": "neutral",
    "h": "happy",
    "sa": "sad",
    "a": "angry",
    "f": "fearful",
    "d": "disgust",
    "su": "surprised",
}
TESS = {
    "neutral": "neutral",
    "happy": "happy",
    "sad": "sad",
    "angry": "angry",
    "fear": "fearful",
    "disgust": "disgust",
    "ps": "surprised",
}
IEMOCAP = {
    "neu": "neutral",
    "hap": "happy",
    "sad": "sad",
    "ang": "angry",
    "fea": "fearful",
    "dis": "disgust",
    "sur": "surprised",
    "exc": "excited",
    "fru": "frustrated",
    "oth": "other",
}
