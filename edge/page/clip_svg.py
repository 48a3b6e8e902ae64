"""A clip as one SVG: waveform with segments, live label, log-mel spectrogram and occlusion, over one time axis."""

import base64
import io

import numpy as np

from edge.page.clip_analysis import ClipAnalysis, Explained
from edge.page.html import colour, escaped
from edge.sinks.lines import answer
from edge.stream.decision import UNCERTAIN
from edge.stream.results import Verdict

WIDTH, LEFT, RIGHT = 1000, 78, 12
WAVE, LABEL, MEL, SUPPORT = (20, 110), (142, 18), (172, 140), (324, 70)
"""Top and height of each row"""
AXIS, HEIGHT = 394, 420
COLUMNS = 900
"""Of waveform and spectrogram, at most: more cannot be seen"""
INK = np.array([(0, 0, 4), (60, 15, 112), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191)])
"""Dark to light, equally spaced"""
LEAST_SUPPORT = 0.1
"""Smallest span of the support scale, so that tiny changes do not look large"""


def view(analysis: ClipAnalysis, model: str) -> str:
    """The model's name, the picture, and a player below it."""
    return (
        f'<h3 class="ser-model">{escaped(model)}</h3>'
        f'<div class="ser-view" data-seconds="{analysis.seconds:.4f}" data-left="{LEFT}" '
        f'data-span="{WIDTH - LEFT - RIGHT}"><div class="ser-scroll">{picture(analysis, model)}</div>'
        f"{_player(analysis)}</div>"
    )


def picture(analysis: ClipAnalysis, model: str) -> str:
    """The picture alone, as SVG."""
    rows = [_segments(analysis), _wave(analysis), _labels(analysis), _spectrogram(analysis), _support(analysis)]
    names = [(WAVE, "waveform"), (LABEL, "live label"), (MEL, "log-mel"), (SUPPORT, "rests on")]
    text = "".join(f'<text x="{LEFT - 8}" y="{top + high / 2 + 4}" class="n">{n}</text>' for (top, high), n in names)
    cursor = f'<line class="ser-cursor" x1="{LEFT}" x2="{LEFT}" y1="{WAVE[0]}" y2="{AXIS}"/>'
    return (
        f'<svg class="ser-picture" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escaped(model)}">'
        f"<title>{escaped(model)}</title>{text}{''.join(rows)}{_axis(analysis)}{cursor}</svg>"
    )


def _x(analysis: ClipAnalysis, seconds: float) -> float:
    span = WIDTH - LEFT - RIGHT
    return LEFT + span * min(max(seconds / max(analysis.seconds, 1e-6), 0.0), 1.0)


def _box(analysis: ClipAnalysis, start: float, end: float, row: tuple[float, float], more: str, title: str = "") -> str:
    x = _x(analysis, start)
    inside = f"<title>{escaped(title)}</title>" if title else ""
    wide = max(_x(analysis, end) - x, 0)
    return f'<rect x="{x:.1f}" y="{row[0]:.1f}" width="{wide:.1f}" height="{row[1]:.1f}" {more}>{inside}</rect>'


def _segments(analysis: ClipAnalysis) -> str:
    drawn = []
    for explained in analysis.segments:
        s = explained.segment
        shade = colour(s.emotion)
        title = f"{s.start_seconds:.2f} to {s.end_seconds:.2f} s: {answer(s)} {s.confidence:.2f}"
        look = f'fill="{shade}" fill-opacity="{0.25 if s.emotion else 0.08}" stroke="{shade}" stroke-opacity="0.5"'
        look += "" if s.emotion else ' stroke-dasharray="4 3"'
        middle = (_x(analysis, s.start_seconds) + _x(analysis, s.end_seconds)) / 2
        drawn.append(_box(analysis, s.start_seconds, s.end_seconds, WAVE, look, title))
        drawn.append(f'<text x="{middle:.1f}" y="{WAVE[0] - 6}" class="s">{escaped(answer(s))}</text>')
    return "".join(drawn)


def _wave(analysis: ClipAnalysis) -> str:
    if not len(analysis.samples):
        return ""
    parts = np.array_split(analysis.samples, min(COLUMNS, len(analysis.samples)))
    middle, half = WAVE[0] + WAVE[1] / 2, WAVE[1] / 2
    x = LEFT + (WIDTH - LEFT - RIGHT) * (np.arange(len(parts)) + 0.5) / len(parts)
    top = [middle - half * float(np.clip(part.max(), -1, 1)) for part in parts]
    low = [middle - half * float(np.clip(part.min(), -1, 1)) + 0.5 for part in parts]
    points = [f"{a:.1f},{b:.1f}" for a, b in zip(x, top, strict=True)]
    points += [f"{a:.1f},{b:.1f}" for a, b in zip(x[::-1], low[::-1], strict=True)]
    return f'<path class="w" d="M{" L".join(points)}Z"/>'


def _labels(analysis: ClipAnalysis) -> str:
    drawn = []
    last = {result.seconds: result for result in analysis.results}  # padding at the end gives several
    for result in last.values():
        noise = result.emotion == Verdict.NOISE
        emotion = None if noise or result.emotion == UNCERTAIN else result.emotion
        sure = 0.15 if noise or result.confidence is None else max(0.25, result.confidence)
        title = f"{result.seconds:.2f} s: {result.emotion or result.state.value}"
        title += "" if noise or result.confidence is None else f" {result.confidence:.2f}"
        look = f'class="ser-decision" fill="{colour(emotion)}" fill-opacity="{sure:.2f}"'
        drawn.append(_box(analysis, result.seconds - analysis.interval_seconds, result.seconds, LABEL, look, title))
    return "".join(drawn)


def _spectrogram(analysis: ClipAnalysis) -> str:
    """Light where the sound is loud; darkened where the answers do not depend on it."""
    if not analysis.log_mel.shape[1]:
        return ""
    end = _x(analysis, analysis.seconds) - LEFT
    image = (
        f'<image x="{LEFT}" y="{MEL[0]}" width="{end:.1f}" height="{MEL[1]}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{_png(analysis.log_mel)}"/>'
    )
    veil = []
    for explained in analysis.segments:
        largest = _largest(explained)
        for stretch in explained.support:
            look = f'fill="#000" fill-opacity="{0.65 * (1 - max(stretch.support, 0) / largest):.2f}"'
            veil.append(_box(analysis, stretch.start_seconds, stretch.end_seconds, MEL, look))
    return image + "".join(veil)


def _largest(explained: Explained) -> float:
    return max([LEAST_SUPPORT, *(abs(s.support) for s in explained.support)])


def _support(analysis: ClipAnalysis) -> str:
    middle, half = SUPPORT[0] + SUPPORT[1] / 2, SUPPORT[1] / 2 - 4
    drawn = [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{middle}" y2="{middle}" class="z"/>']
    for explained in analysis.segments:
        segment, largest = explained.segment, _largest(explained)
        top = max(segment.probs, key=segment.probs.__getitem__, default="")
        for s in explained.support:
            high = half * abs(s.support) / largest
            row = (middle - high if s.support > 0 else middle, high)
            shade = colour(top) if s.support > 0 else "#9aa5b1"
            title = (
                f"{s.start_seconds:.2f} to {s.end_seconds:.2f} s: without it the probability of {top} would be "
                f"{np.exp(-s.support):.2f} times what it is"
            )
            drawn.append(_box(analysis, s.start_seconds, s.end_seconds, row, f'class="ser-rest" fill="{shade}"', title))
    return "".join(drawn)


def _axis(analysis: ClipAnalysis) -> str:
    step = next(s for s in (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1e9) if analysis.seconds <= 14 * s)
    ticks = []
    for number in range(int(analysis.seconds / step) + 1):
        x = _x(analysis, number * step)
        ticks.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{AXIS}" y2="{AXIS + 5}" class="z"/>')
        ticks.append(f'<text x="{x:.1f}" y="{AXIS + 19}" class="s">{number * step:g} s</text>')
    return f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{AXIS}" y2="{AXIS}" class="z"/>' + "".join(ticks)


def _png(log_mel: np.ndarray) -> str:
    """`(n_mels, frames)` -> PNG, low bands at the bottom, the loudest 70 dB spread over the ink; base64."""
    from PIL import Image  # comes with Gradio

    frames = np.array_split(log_mel, min(COLUMNS, log_mel.shape[1]), axis=1)
    level = np.stack([part.max(axis=1) for part in frames], axis=1)[::-1]
    top = level.max()
    scaled = np.clip((level - (top - 7 * np.log(10))) / (7 * np.log(10)), 0, 1)
    places = np.linspace(0, 255, len(INK))
    palette = np.stack([np.interp(np.arange(256), places, INK[:, c]) for c in range(3)], axis=1)
    image = Image.fromarray((scaled * 255).astype(np.uint8)).convert("P")
    image.putpalette(palette.astype(np.uint8).tobytes())
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def _player(analysis: ClipAnalysis) -> str:
    """A player with the samples that were processed, embedded in the page; the server stores nothing."""
    if not len(analysis.samples):
        return ""
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, np.clip(analysis.samples, -1, 1), analysis.sample_rate, format="FLAC", subtype="PCM_16")
    data = base64.b64encode(out.getvalue()).decode()
    return f'<audio class="ser-audio" controls preload="metadata" src="data:audio/flac;base64,{data}"></audio>'
