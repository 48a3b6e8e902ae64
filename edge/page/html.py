"""Results as HTML: emotion and confidence, or the reason for an abstention. All text from outside is escaped."""

import html
from collections.abc import Mapping

from edge.loop.utterances import UtteranceSettings
from edge.sinks.lines import answer
from edge.stream.decision import DecisionConfig
from edge.stream.results import Segment, Verdict

COLOURS = {
    "neutral": "#8c8c8c",
    "calm": "#3fa7b5",
    "happy": "#e0a100",
    "sad": "#3d6fd1",
    "angry": "#d1382f",
    "fearful": "#8d4fbf",
    "disgust": "#4c9a4b",
    "surprised": "#e0679b",
    "bored": "#8a7a5c",
    "excited": "#f07b1c",
    "frustrated": "#a3472f",
}
OTHER = "#5b6c7d"


def colour(emotion: str | None) -> str:
    """The colour of an emotion; emotions without a colour of their own share one."""
    return COLOURS.get(emotion or "", OTHER)


def escaped(text: str) -> str:
    """Text that neither a browser nor a template interprets.

    >>> escaped("<b>${x}</b>")
    '&lt;b&gt;&#36;&#123;x&#125;&lt;/b&gt;'
    """
    return html.escape(text).replace("$", "&#36;").replace("{", "&#123;").replace("}", "&#125;")


def error(message: str) -> str:
    """An error message."""
    return f'<p class="ser-error" role="alert">{escaped(message)}</p>'


def note(message: str) -> str:
    return f'<p class="ser-note">{escaped(message)}</p>'


def bars(probs: Mapping[str, float | None]) -> str:
    """A bar per emotion; empty and without a number if there is no probability."""
    return f'<div class="ser-bars">{"".join(_bar(name, p) for name, p in probs.items())}</div>'


def arousal_bar(arousal: float | None) -> str:
    """A bar like those of the emotions, apart from them."""
    return f'<div class="ser-bars ser-arousal">{_bar("arousal", arousal)}</div>'


def _bar(name: str, share: float | None) -> str:
    return (
        f'<div class="ser-bar"><span>{escaped(name)}</span>'
        f'<i><b style="width:{100 * (share or 0):.1f}%;background:{colour(name)}"></b></i>'
        f"<em>{'' if share is None else f'{share:.2f}'}</em></div>"
    )


def why(segment: Segment, decision: DecisionConfig, settings: UtteranceSettings) -> str:
    """Why a segment has no emotion, as a sentence; empty if it has one."""
    top = max(segment.probs, key=segment.probs.__getitem__, default="")
    return {
        None: "",
        Verdict.UNCERTAIN: f"The best guess, {top}, has a probability of {segment.confidence:.2f}; below "
        f"{decision.min_confidence:.2f} this model does not answer.",
        Verdict.TOO_SHORT: f"Less than {settings.min_voice_seconds:g} s of voice.",
        Verdict.TOO_QUIET: f"The voice is below {settings.min_level_dbfs:g} dBFS; come closer to the microphone.",
        Verdict.CLIPPED: f"More than {settings.max_clipped:.0%} of the voice is at full scale: too loud, or too close.",
        Verdict.NO_SPEECH: "The VAD detected no voice.",
        Verdict.NOISE: "There was sound above the background, but the VAD was never sure of a voice.",
    }[segment.verdict]


def badge(segment: Segment) -> str:
    shade = colour(segment.emotion) if segment.emotion else "transparent"
    kind = "ser-badge" if segment.emotion else "ser-badge ser-none"
    return f'<span class="{kind}" style="background:{shade}">{escaped(answer(segment))}</span>'


def segment_row(segment: Segment, decision: DecisionConfig, settings: UtteranceSettings) -> str:
    """Time, emotion and confidence, arousal if there is one; for an abstention the reason, and its probabilities in a
    pale colour."""
    reason = f"confidence {segment.confidence:.2f}" if segment.emotion else escaped(why(segment, decision, settings))
    pale = "" if segment.emotion else ' class="ser-pale"'
    drawn = bars(segment.probs) if segment.probs else ""
    drawn += "" if segment.arousal is None else arousal_bar(segment.arousal)
    return (
        f'<tr><td class="ser-when">{segment.start_seconds:.2f} to {segment.end_seconds:.2f} s</td>'
        f"<td>{badge(segment)}<p>{reason}</p></td><td{pale}>{drawn}</td></tr>"
    )


def segment_table(rows: str, body_id: str = "") -> str:
    """A table of `segment_row`s. `body_id`: id of its body, if rows are added later."""
    head = "<thead><tr><th>when</th><th>answer</th><th>probabilities</th></tr></thead>"
    return f'<table class="ser-table">{head}<tbody id="{body_id}">{rows}</tbody></table>'
