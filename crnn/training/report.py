"""One HTML page per run: curves, confusion matrix, per-speaker and per-sex UAR, calibration. No script, no network."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jinja2 import Environment
from matplotlib.figure import Figure

from crnn.data.corpora import Utterance
from crnn.data.protocols import SPEAKER_DEPENDENT, Split
from crnn.files.atomic import write_text
from crnn.metrics import at_chance, chance

matplotlib.use("Agg")
matplotlib.rcParams["axes.titley"] = 1.0  # otherwise all labels are measured to place a title

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: left }
caption { text-align: left; padding: .5rem 0 } .shares td { text-align: right }
img { max-width: 100% } .notice { background: #fff3cd; padding: .6rem 1rem }
</style></head><body>
<h1>{{ title }}</h1>
{% if notice %}<p class="notice">{{ notice }}</p>{% endif %}
<table>{% for key, value in facts %}<tr><th>{{ key }}</th><td>{{ value }}</td></tr>{% endfor %}</table>
{% if counts %}<h2>Recordings</h2>
<table><tr><th>Subset</th><th>Clips</th><th>Speakers</th>{% for name in classes %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in counts %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table><p>Per class: clips (speakers).</p>{% endif %}
<h2>Training</h2><img alt="learning curves" src="{{ curves }}">
{% for part in parts %}
<h2>{{ part.title }}</h2>
<table><tr><th>Figure</th><th>Value</th><th>95 % interval over speakers</th></tr>
{% for name, value, interval in part.figures %}<tr><td>{{ name }}</td><td>{{ value }}</td><td>{{ interval }}</td></tr>
{% endfor %}</table>
<table class="shares"><caption>Confusion: % of each true class (row) decided as each class (column)</caption>
<tr><th></th>{% for name in part.labels %}<th>{{ name }}</th>{% endfor %}</tr>
{% for name, shares in part.confusion %}<tr><th>{{ name }}</th>{% for share in shares -%}
<td style="background: rgba(31, 119, 180, {{ share / 150 }})">{{ "%.0f" | format(share) }}</td>{% endfor %}</tr>
{% endfor %}</table>
<table class="shares"><caption>UAR per speaker and sex</caption>
{% for name, value in part.groups %}<tr><th>{{ name }}</th><td><meter value="{{ value }}"></meter></td>
<td>{{ "%.1f%%" | format(100 * value) }}</td></tr>
{% endfor %}</table>
<img alt="calibration" src="{{ part.calibration }}">
{% endfor %}
{% if skipped %}<h2>Files left out ({{ skipped | length }})</h2>
<table>{% for file, why in skipped %}<tr><td>{{ file }}</td><td>{{ why }}</td></tr>{% endfor %}</table>{% endif %}
</body></html>
"""

SUBSETS = (("train", "Training"), ("dev", "Development"), ("dev_unseen", "Held-out corpora"), ("test", "Test"))
MADE = (("date", "Date"), ("command", "Command"), ("version", "Version"), ("commit", "Commit"))


def write_report(path: Path, metrics: dict) -> None:
    """Write the page of one run from its metrics (`metrics.json`), without the parts that an older run lacks."""
    parts = [
        {
            "title": f"{title} ({metrics[key]['n_clips']} clips)",
            "figures": _figures(metrics[key]),
            "labels": metrics[key]["labels"],
            "confusion": _confusion(metrics[key]),
            "groups": [*metrics[key]["per_speaker_uar"].items(), *metrics[key]["per_sex_uar"].items()],
            "calibration": _image(_calibration(metrics[key])),
        }
        for key, title in (
            ("dev", "Development speakers"),
            ("dev_unseen", "Development speakers, held-out corpora"),
            ("test", "Test speakers"),
        )
        if key in metrics
    ]
    training, made, counts = metrics["training"], metrics.get("made", {}), metrics.get("counts", {})
    classes = sorted({name for part in counts.values() for name in part["classes"]})
    notices = [
        (
            metrics["corpus"] == "synthetic",
            "SYNTHETIC voices: these figures say that the machinery works, nothing about emotion.",
        ),
        (metrics.get("speaker_dependent"), f"SPEAKER-DEPENDENT: {SPEAKER_DEPENDENT}."),
    ]
    doubt = at_chance(metrics["dev"], "development speakers") if "dev" in metrics else ""
    notices.append((doubt, f"WARNING: {doubt}. The model may know nothing."))
    page = Environment(autoescape=True).from_string(PAGE)
    html = page.render(
        title=f"{metrics['protocol']} fold {metrics['fold']} seed {metrics['seed']}",
        notice=" ".join(text for holds, text in notices if holds),
        facts=[
            ("Split", metrics["split_hash"]),
            ("Parameters", f"{metrics['n_params']:,}"),
            ("Multiply-accumulates per window", f"{metrics['macs_per_window']:,}"),
            ("Epochs", f"{metrics['history'][-1]['epoch'] + 1}, best {training['best_epoch']}"),
            ("Seconds per epoch", f"{training['seconds_per_epoch']:.1f}"),
            ("Utterances per second", f"{training['utterances_per_second']:.0f}"),
            ("Time waiting for data", f"{training['data_wait_share']:.1%}"),
            *((title, made[key]) for key, title in MADE if made.get(key)),
        ],
        classes=classes,
        counts=[
            (title, counts[part]["clips"], counts[part]["speakers"], *_per_class(counts[part]["classes"], classes))
            for part, title in SUBSETS
            if part in counts
        ],
        curves=_image(_curves(metrics["history"])),
        parts=parts,
        skipped=sorted(metrics["skipped"].items()),
    )
    write_text(path, html)


def counts(split: Split) -> dict[str, dict]:
    """Clips and speakers of each subset that has any, and of each of its classes, as plain values."""
    made = {}
    for part, members in split.sets():
        if members:
            by_class = {label: [u for u in members if u.emotion == label] for label in split.labels}
            made[part] = _count(members) | {"classes": {label: _count(some) for label, some in by_class.items()}}
    return made


def _count(utterances: Sequence[Utterance]) -> dict[str, int]:
    return {"clips": len(utterances), "speakers": len({u.speaker for u in utterances})}


def _per_class(counted: dict[str, dict], classes: list[str]) -> list[str]:
    return [f"{c['clips']} ({c['speakers']})" if (c := counted.get(name)) else "" for name in classes]


def _figures(part: dict) -> list[tuple[str, str, str]]:
    """Name, value and interval of each figure, or the reason for no interval; chance comes first."""
    guess = f"one in {len(part['recall'])} classes, a guess"

    def interval(key: str) -> str:
        if f"{key}_ci95" not in part:
            return "not computed for this figure"
        limits = part[f"{key}_ci95"]
        return f"{limits[0]:.1%} to {limits[1]:.1%}" if limits else "one speaker: no interval"

    names = (("uar", "UAR"), ("wa", "WA"), ("macro_f1", "Macro-F1"), ("wf1", "WF1"), ("ece", "Calibration error"))
    figures = [(name, f"{part[key]:.1%}", interval(key)) for key, name in names if key in part]
    by_chance = ("UAR by chance", f"{chance(part):.1%}", guess)
    return [*figures[:1], by_chance, *figures[1:], *_arousal_figures(part), *_continuous_figures(part)]


def _arousal_figures(part: dict) -> list[tuple[str, str, str]]:
    """Likewise of the arousal, per corpus; none where the model does not estimate it."""
    figures = []
    for corpus, found in part.get("arousal", {}).items():
        for key, name in (("ccc", "CCC with listeners' ratings"), ("spearman", "rank correlation")):
            if key in found:
                figures.append(_agreement(f"Arousal, {corpus}: {name}", key, found))
    return figures


def _continuous_figures(part: dict) -> list[tuple[str, str, str]]:
    """Likewise of each continuous label; none where the model estimates none."""
    names = (("rmse", "RMSE"), ("pearson", "Pearson correlation"), ("ccc", "CCC"))
    return [
        _agreement(f"{label}, {found['low']:g} to {found['high']:g}: {name}", key, found)
        for label, found in part.get("continuous", {}).items()
        for key, name in names
    ]


def _agreement(title: str, key: str, found: dict) -> tuple[str, str, str]:
    value, limits = found[key], found[f"{key}_ci95"]
    shown = "none: one side is constant" if value is None else f"{value:.2f}"
    return title, shown, f"{limits[0]:.2f} to {limits[1]:.2f}" if limits else "no interval"


def _image(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)  # bbox_inches="tight" would draw it twice
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _curves(history: list[dict]) -> Figure:
    figure = Figure(figsize=(11, 3.2))
    epochs = [row["epoch"] for row in history]
    risen = "adversary_weight" in history[0]
    margins = {"left": 0.06, "right": 0.99, "bottom": 0.16, "top": 0.9, "wspace": 0.3}
    left, middle, right, *last = figure.subplots(1, 3 + risen, gridspec_kw=margins)
    left.plot(epochs, [row["train_loss"] for row in history])
    left.set(title="Training loss (augmented)", xlabel="epoch")
    if "dev_uar" in history[0]:
        middle.plot(epochs, [row["dev_uar"] for row in history])
        middle.set(title="Development UAR", xlabel="epoch")
    else:  # self-supervision
        for name, label in (("target_std", "states"), ("embedding_std", "window vectors")):
            middle.plot(epochs, [row[name] for row in history], label=label)
        middle.set(title="Standard deviation, teacher", xlabel="epoch", ylim=(0, None))
        middle.legend()
    right.step(epochs, [row["learning_rate"] for row in history], where="post")
    right.set(title="Learning rate", xlabel="epoch", yscale="log")
    for axes in last:
        axes.plot(epochs, [row["adversary_weight"] for row in history])
        axes.set(title="Weight of the speaker adversary", xlabel="epoch")
    return figure


def _confusion(part: dict) -> list[tuple[str, list[float]]]:
    """True class, and the shares in percent of its clips that were decided as each class."""
    matrix = np.array(part["confusion"], dtype=float)
    shares = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return list(zip(part["labels"], shares.tolist(), strict=True))


def _calibration(part: dict) -> Figure:
    figure = Figure(figsize=(4, 4))
    axes = figure.subplots(gridspec_kw={"left": 0.14, "right": 0.97, "bottom": 0.12, "top": 0.92})
    curve = part["calibration"]
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.plot([b["confidence"] for b in curve], [b["accuracy"] for b in curve], marker="o")
    axes.set(title="Calibration", xlabel="mean confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1))
    return figure
