"""Tables of the model card: facts of the bundles that ship, files against the trained model, groups, robustness."""

from benchmarks.harness.recipes import LEAVE_ONE_OUT
from benchmarks.harness.results import manifest, one, rows
from benchmarks.tables.accuracy import PROTOCOLS, SHIPPED, WITHIN
from benchmarks.tables.markdown import interval, markdown, mean, percent, table
from edge.bundle import PRETRAINED, Bundle, card


def front_matter_that_ships() -> str:
    """What the hub reads of the card: facts of the bundle, and the results on the corpora left out."""
    measured = [
        entry
        for row in rows("cross_corpus_pooled", protocol=LEAVE_ONE_OUT, model=SHIPPED)
        for entry in card.results(
            row["test"], f"{row['test']}, left out of training (a run of this recipe)", "test", row
        )
    ]
    return card.front_matter(Bundle.open(PRETRAINED).manifest, "crnn-ser", card.LICENCE, measured)


@table("shipped")
def shipped() -> str:
    """Facts of the bundles: size, training data, accuracy on their own development speakers, confidence."""
    bundle = manifest("int8")
    made, decision = bundle["provenance"], bundle["decision"]
    dev, sure = made["trained_model"]["dev"], made["confidence_dev"]
    facts = {
        "emotions": ", ".join(bundle["labels"]),
        "parameters": f"{made['n_params']:,}",
        "multiply-accumulates per window": f"{made['macs_per_window'] / 1e6:.1f} M",
        "protocol": f"`{made['protocol']}`",
        "split": f"`{made['split_hash']}`",
        "seed": made["seed"],
        "development UAR": percent(dev["uar"]),
        "its 95 % interval": interval(dev["uar_ci95"]),
        "development clips": dev["n_clips"],
        "temperature": f"{decision['temperature']:.2f}",
        '"uncertain" below': f"{decision['min_confidence']:.2f}",
        "calibration error": percent(sure["ece"]),
        "share decided": percent(sure["coverage"]),
        "right of those decided": percent(sure["accuracy_covered"]),
    }
    return markdown(("property", "value"), facts.items())


@table("shipped-files")
def shipped_files() -> str:
    """The model files of each bundle, and the loss of each relative to the trained model on development speakers."""
    lines = []
    for name in ("float32", "int8"):
        bundle = manifest(name)
        of_file = {(row["runtime"], row["scheme"]): row for row in bundle["provenance"]["files_on_dev"]}
        for runtime, files in bundle["models"].items():
            size = sum(bundle["files"][files[part]]["bytes"] for part in ("encoder", "head"))
            row = of_file[runtime, files["scheme"]]
            loss = (percent(row["uar_drop"], sign=True), percent(row["flip_rate"]))
            lines.append((f"`{name}/`", runtime, files["scheme"], f"{size:,}", *loss))
    return markdown(("bundle", "runtime", "scheme", "bytes", "UAR lost", "decisions changed %"), lines)


@table("calibration-within")
def calibration_within() -> str:
    """Calibration error on test speakers before and after the temperature, mean of the seeds."""
    lines = []
    for protocol in PROTOCOLS:
        found = rows("confidence", model=WITHIN, protocol=protocol)
        lines.append((protocol, *(percent(mean(row[key] for row in found)) for key in ("ece_before", "ece"))))
    return markdown(("protocol", "ECE before", "ECE after"), lines)


@table("groups")
def groups() -> str:
    """UAR of women and men and recall of each emotion on the corpora left out."""
    labels = manifest("int8")["labels"]
    return markdown(
        ("tested on", "women", "men", *labels),
        (
            (
                row["test"],
                *(percent(row["per_sex_uar"][sex]) for sex in ("female", "male")),
                *(percent(row["recall"].get(label)) for label in labels),
            )
            for row in rows("cross_corpus_pooled", protocol=LEAVE_ONE_OUT, model=SHIPPED)
        ),
    )


@table("robustness-shipped")
def robustness_shipped() -> str:
    """The recipe that ships on an unseen corpus, and a network of 96 bands tuned within a corpus."""
    lines = []
    for row in rows("robustness", model=WITHIN, protocol="ravdess-luna5"):
        where = {"condition": row["condition"], "level": row["level"]}
        far = one("robustness", model=SHIPPED, protocol=LEAVE_ONE_OUT, **where)
        figures = (
            text for of in (far, row) for text in (percent(of.get("uar")), percent(of.get("uar_lost"), sign=True))
        )
        lines.append((*where.values(), *figures))
    return markdown(("condition", "level", "unseen corpus, UAR", "lost", "same corpus, UAR", "lost"), lines)
