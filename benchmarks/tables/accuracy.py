"""Tables of accuracy: targets, within a corpus, across corpora, groups of speakers, robustness, confidence."""

from collections.abc import Iterable

from benchmarks.harness.recipes import CROSS, LARGE, LEAVE_ONE_OUT, PAIR, SHIPS, TUNED
from benchmarks.harness.results import one, rows
from benchmarks.tables.markdown import NOT_MEASURED, interval, markdown, mean, percent, table

SHIPPED, WITHIN = f"crnn {SHIPS}", f"crnn {TUNED}"
UNSEEN = ("crnn narrow-96-denoised", "crnn narrow-96-floor")
"""Earlier recipes for unseen corpora, of three corpora at hand"""
MODELS = (SHIPPED, *UNSEEN, WITHIN, "crnn narrow", "crnn narrow-taught", "crnn wide")
BASELINE = "eGeMAPSv02, same level + RBF-SVM"
"""The classical baseline across corpora"""
PROTOCOLS = ("ravdess-luna5", "ravdess-emobox6", "emodb-loso", "cremad-evar")


def short(model: str) -> str:
    return model.removeprefix("crnn ")


def whole(protocol: str) -> list[dict]:
    """Our models' pooled rows of a protocol: float32, whole clips."""
    return [row for row in rows("accuracy_pooled", protocol=protocol, scheme="float32", mode="whole") if row["seeds"]]


def left_out(model: str, protocol: str) -> float | None:
    """Mean over the corpora left out of the mean over seeds."""
    return mean(row["uar_mean"] for row in rows("cross_corpus_pooled", protocol=protocol, model=model))


def gains_over_baseline(model: str) -> list[float]:
    """UAR above the classical baseline, for every combination of corpora that has both figures."""
    ours = {(row["train"], row["test"]): row["uar_mean"] for row in rows("cross_corpus_pooled", model=model)}
    return [
        ours[row["train"], row["test"]] - row["uar"]
        for row in rows("cross_corpus", seed=None, model=BASELINE)
        if (row["train"], row["test"]) in ours
    ]


def lost(model: str, condition: str, levels: Iterable[str]) -> float | None:
    """The largest loss of UAR of a model over some levels of a condition; of one for unseen corpora on a corpus that
    its training left out."""
    protocol = LEAVE_ONE_OUT if model == SHIPPED else CROSS if model in UNSEEN else "ravdess-luna5"
    found = rows("robustness", protocol=protocol, condition=condition, model=model)
    return max((row["uar_lost"] for row in found if row["level"] in levels), default=None)


def reached(value: float | None, goals: list[float]) -> str:
    if value is None:
        return NOT_MEASURED
    met = [goal for goal in goals if goal <= value]
    return f"{100 * met[-1]:g} reached" if met else f"missed by {100 * (goals[0] - value):.1f}"


NAMES = {"ravdess": "RAVDESS", "emodb": "EmoDB", "emovo": "EMOVO"}
"""Corpora whose names in result files are those of folders"""


def named(row: dict) -> str:
    """The test corpus of a row, as people write it."""
    return NAMES.get(row["test"], row["test"])


@table("targets")
def targets() -> str:
    """Each target, every model's figure, and whether the best one reaches it."""
    lines = []
    for name, protocol, key, goals in (
        ("ravdess-luna5, UAR", "ravdess-luna5", "uar_mean", [0.66, 0.70]),
        ("ravdess-emobox6, UAR", "ravdess-emobox6", "uar_mean", [0.654, 0.72]),
        ("emodb-loso, UAR", "emodb-loso", "uar_mean", [0.82, 0.85]),
        ("cremad-evar, accuracy", "cremad-evar", "wa", [0.60, 0.64]),
    ):
        found = {row["model"]: row[key] for row in whole(protocol)}
        asked = ", then ".join(f"{100 * goal:g}" for goal in goals)
        lines.append((name, asked, *(percent(found.get(m)) for m in MODELS), reached(max(found.values()), goals)))
    for protocol, name, goals in ((LEAVE_ONE_OUT, "six", [0.58]), (CROSS, "three", [0.5])):
        left = [left_out(model, protocol) for model in MODELS]
        best = max((value for value in left if value is not None), default=None)
        asked = (f"one of {name} corpora left out, mean UAR", f"{100 * goals[0]:g}")
        lines.append((*asked, *map(percent, left), reached(best, goals)))
    gains = [min(gains_over_baseline(model), default=None) for model in MODELS]
    asked = ("least gain over eGeMAPS + SVM across corpora", "10")
    lines.append((*asked, *(percent(value, sign=True) for value in gains), reached(gains[0], [0.1])))
    for name, condition, levels, most in (
        ("UAR lost at 10 dB of noise", "noise", ("10 dB",), 0.05),
        ("UAR lost in an unseen stairway", "room", ("audeering_air_binaural_stairway_1_1_0",), 0.05),
        ("UAR lost in an unseen hall (RT60 3.9 s)", "room", ("pymix_hall",), 0.05),
        ("UAR lost at -30 to +10 dB gain", "gain", ("-30 dB", "-20 dB", "-10 dB", "+10 dB"), 0.02),
    ):
        values = {model: lost(model, condition, levels) for model in MODELS}
        worse = values[SHIPPED]
        verdict = "reached" if worse <= most else f"missed by {100 * (worse - most):.1f}"
        lines.append((name, f"at most {100 * most:g}", *map(percent, values.values()), verdict))
    return markdown(("target", "goal", *map(short, MODELS), "verdict"), lines)


@table("within")
def within() -> str:
    """Every model on the protocols within a corpus, pooled over folds."""
    return markdown(
        ("protocol", "model", "mode", "seeds", "UAR", "95 % interval", "WA", "macro-F1", "worst speaker"),
        (
            (
                *(protocol, row["model"], row["mode"], len(row["seeds"]) or "", percent(row["uar_mean"])),
                *(interval(row["uar_ci95"]), percent(row["wa"]), percent(row["macro_f1"])),
                percent(row["worst_speaker_uar"]),
            )
            for protocol in PROTOCOLS
            for row in rows("accuracy_pooled", protocol=protocol)
        ),
    )


@table("within-summary")
def within_summary() -> str:
    """A network of 96 bands and the better of the classical baselines, within a corpus."""
    lines = []
    for protocol in PROTOCOLS:
        ours = one("accuracy_pooled", protocol=protocol, model=WITHIN, scheme="float32", mode="whole")
        baselines = [row for row in rows("accuracy_pooled", protocol=protocol) if row["model"].endswith("SVM")]
        best = max(baselines, key=lambda row: row["uar"])
        figures = (percent(ours["uar_mean"]), interval(ours["uar_ci95"]), len(ours["seeds"]), percent(best["uar"]))
        lines.append((f"`{protocol}`", *figures, best["model"].split(" ")[0]))
    return markdown(("protocol", "96 bands, UAR", "95 % interval", "seeds", "best SVM", "its features"), lines)


@table("across")
def across() -> str:
    """Every model on every combination of corpora."""
    return markdown(
        ("trained on", "tested on", "model", "UAR", "95 % interval", "seeds", "eGeMAPS + SVM"),
        (
            (
                *(base["train"], base["test"], short(model), percent(row["uar_mean"]), interval(row["uar_ci95"])),
                *(len(row["seeds"]), percent(base["uar"])),
            )
            for base in rows("cross_corpus", seed=None, model=BASELINE)
            if base["protocol"] != LEAVE_ONE_OUT
            for model in MODELS
            for row in rows("cross_corpus_pooled", train=base["train"], test=base["test"], model=model)
        ),
    )


@table("unseen")
def unseen() -> str:
    """The recipe that ships on each corpus that its training left out, the larger model as it ships, and the classical
    baseline."""
    lines = []
    for ours in rows("cross_corpus_pooled", protocol=LEAVE_ONE_OUT, model=SHIPPED):
        base = one("cross_corpus", seed=None, model=BASELINE, train=ours["train"], test=ours["test"])
        larger = one("cross_corpus", protocol=LEAVE_ONE_OUT, model=PAIR, test=ours["test"])
        uar = percent(ours["uar_mean"])
        others = (percent(larger.get("uar")), percent(base.get("uar")))
        figures = (interval(ours["uar_ci95"]), len(ours["seeds"]), *others)
        lines.append((named(ours), uar, *figures, ours["n_speakers"]))
    ours = ("small model, UAR", "95 % interval", "seeds")
    return markdown(("corpus left out", *ours, "larger model, UAR", "eGeMAPS + SVM", "test speakers"), lines)


@table("unseen-larger")
def unseen_larger() -> str:
    """The larger bundle on corpora that were left out, alone and with the small model beside it."""
    lines = []
    for large in rows("cross_corpus", protocol=LEAVE_ONE_OUT, model=LARGE):
        where = {"protocol": LEAVE_ONE_OUT, "test": large["test"]}
        both, small = one("cross_corpus", model=PAIR, **where), one("cross_corpus", model=SHIPPED, **where)
        of_both = (percent(both.get("uar")), interval(both["uar_ci95"]) if both else "")
        alone = (percent(small.get("uar")), percent(large["uar"]), interval(large["uar_ci95"]))
        lines.append((named(large), *alone, *of_both, large["n_clips"]))
    if not lines:
        return "Not measured yet: `python -m benchmarks.accuracy.large BUNDLE --fold 1`."
    head = ("small, UAR", "large alone, UAR", "95 % interval", "both, UAR", "95 % interval", "test clips")
    return markdown(("corpus left out", *head), lines)


@table("speakers")
def speakers() -> str:
    """Women, men, the best and the worst speakers, of every model."""
    found = [row for protocol in sorted(PROTOCOLS) for row in rows("accuracy_pooled", protocol=protocol)]
    found = [row for row in found if (row["scheme"], row["mode"]) == ("float32", "whole") and row.get("per_sex_uar")]
    named = [(row["protocol"], row) for row in sorted(found, key=lambda row: (row["protocol"], row["model"].lower()))]
    shipped = rows("cross_corpus_pooled", model=SHIPPED, protocol=LEAVE_ONE_OUT)
    named += [(f"{row['train']} -> {row['test']}", row) for row in shipped]
    lines = []
    for where, row in named:
        each = sorted(row["per_speaker_uar"].values())
        lowest = mean(each[: max(1, len(each) // 4)])
        sexes = (percent(row["per_sex_uar"]["female"]), percent(row["per_sex_uar"]["male"]))
        lines.append((where, short(row["model"]), *sexes, *map(percent, (each[-1], each[0], lowest))))
    return markdown(("protocol", "model", "women", "men", "best speaker", "worst speaker", "lowest quarter"), lines)


@table("robustness")
def robustness(protocol: str) -> str:
    """UAR of every model under every condition of one protocol."""
    of_protocol = {row["model"] for row in rows("robustness", protocol=protocol)}
    measured = [model for model in MODELS if model in of_protocol]
    lines = []
    for row in rows("robustness", protocol=protocol, model=measured[0]):
        where = {"condition": row["condition"], "level": row["level"]}
        its = [one("robustness", protocol=protocol, model=model, **where) for model in measured]
        figures = (text for of in its for text in (percent(of.get("uar")), percent(of.get("uar_lost"), sign=True)))
        lines.append((*where.values(), *figures))
    return markdown(("condition", "level", *(text for m in measured for text in (short(m), "lost"))), lines)


@table("confidence")
def confidence() -> str:
    """Calibration and "uncertain", per run."""
    return markdown(
        ("protocol", "model", "seed", "ECE before", "ECE after", "decided", "right of all", "right of decided"),
        (
            (
                *(row["protocol"], row["model"], row["seed"]),
                *(percent(row[key]) for key in ("ece_before", "ece", "coverage", "accuracy", "accuracy_covered")),
            )
            for row in rows("confidence")
            if "test" not in row
        ),
    )


@table("within-sentence")
def within_sentence() -> str:
    """A network of 96 bands and ComParE within RAVDESS and within EmoDB, as one sentence."""

    def figures(protocol: str) -> str:
        ours = one("accuracy_pooled", protocol=protocol, model=WITHIN, scheme="float32", mode="whole")
        theirs = one("accuracy_pooled", protocol=protocol, model="ComParE_2016 + RBF-SVM")
        seeds = f"{len(ours['seeds'])} seeds"
        return f"{percent(ours['uar_mean'])} ({seeds}; ComParE + SVM {percent(theirs['uar'])})"

    return (
        "A network of 96 bands, tuned and tested on speakers of one corpus: RAVDESS, eight emotions, "
        f"{figures('ravdess-luna5')}; EmoDB, seven emotions, {figures('emodb-loso')}."
    )


@table("confidence-unseen")
def confidence_unseen() -> str:
    """Calibration and "uncertain" of the recipe that ships, on each corpus that its training left out."""
    return _confidence(SHIPPED)


@table("confidence-larger")
def confidence_larger() -> str:
    """Likewise of the larger bundle that ships."""
    return _confidence(PAIR)


def _confidence(model: str) -> str:
    lines = []
    for row in rows("confidence", model=model, protocol=LEAVE_ONE_OUT):
        shipped = row["as_shipped"]
        figures = (percent(shipped[key]) for key in ("ece", "coverage", "accuracy", "accuracy_covered"))
        lines.append((named(row), *figures, f"{row['temperature']:.2f}", percent(row["ece"])))
    head = ("corpus left out", "ECE", "decided", "right of all", "right of decided", "fitted temperature", "ECE at it")
    return markdown(head, lines)
