"""Tables of enrolment and corrections."""

from benchmarks.harness.results import one, rows
from benchmarks.tables.markdown import NOT_MEASURED, interval, markdown, mean, percent, table

CHOSEN = {"uncertainty": "least certain", "random": "random", "all": "whole pool", "none": "none"}


@table("enrolment")
def enrolment(protocol: str, subset: str) -> str:
    """A profile from so many sentences, on the speakers of `dev` or `test`."""
    head = ("corpus", "sentences", "UAR without", "UAR with", "gain", "95 % interval", "worst speaker", "better for %")
    return markdown(
        (*head, "speakers"),
        (
            (
                row["corpus"],
                f"{row['clips_per_class']} {'neutral' if row['kind'] == 'neutral' else 'per emotion'}",
                *(percent(row["uar_without"]), percent(row["uar"])),
                *(percent(row["uar"] - row["uar_without"], sign=True), interval(row["gain_ci95"])),
                *(percent(row["worst_speaker_delta"], sign=True), percent(row["speakers_better"]), row["n_speakers"]),
            )
            for row in rows("enrolment", protocol=protocol, set=subset)
        ),
    )


@table("label-free")
def label_free() -> str:
    """Adaptation without labels as on the device, on test speakers after 50 utterances."""
    head = ("corpus", "stream", "UAR without", "gain", "95 % interval", "worst speaker", "± error", "its clips")
    return markdown(
        (*head, "by chance", "lose %", "by chance %", "speakers"),
        (
            (
                *(row["corpus"], row["stream"], percent(row["uar_without"]), percent(row["gain"], sign=True)),
                *(interval(row["gain_ci95"]), percent(row["worst_gain"], sign=True)),
                *(percent(row["worst_standard_error"]), row["worst_clips"]),
                *(percent(row["worst_of_all_by_chance"], sign=True), percent(row["losing"])),
                *(percent(row["losing_by_chance"]), row["n_speakers"]),
            )
            for row in rows("adaptation", set="test", method="prior")
        ),
    )


@table("label-free-methods")
def label_free_methods() -> str:
    """Every method without labels: settings chosen on development speakers, and figures of both sets."""
    found = rows("adaptation", set="test")
    lines = []
    for method in dict.fromkeys(row["method"] for row in found):
        of_method = [row for row in found if row["method"] == method]
        settings = ", ".join(f"{name} {value:g}" for name, value in of_method[0]["settings"].items())
        gains = [
            percent(mean(row["gain"] for row in of_method if row["stream"] == stream), sign=True)
            for stream in dict.fromkeys(row["stream"] for row in of_method)
        ]
        after = [
            percent(mean(row["gain_after"][n] for row in of_method), sign=True) for n in of_method[0]["gain_after"]
        ]
        dev = one("adaptation", set="dev", method=method, settings=of_method[0]["settings"])
        chosen = (percent(dev.get("gain"), sign=True), percent(dev.get("losing")))
        losing = percent(mean(row["losing"] for row in of_method))
        lines.append((method, settings.replace("_", " "), *chosen, *gains, *after, losing))
    head = ("method", "settings", "dev gain", "dev lose %", "equal", "60 % neutral", "60 % angry")
    return markdown((*head, "after 10", "after 20", "after 50", "lose %"), lines)


@table("people")
def people() -> str:
    """Several people at home: the choice of a profile by the voice, and what it is worth."""
    head = ("corpus", "at home", "right %", "wrong %", "unknown %", "guests taken for somebody %", "EER at home %")
    uars = ("uar_none", "uar_own", "uar_chosen", "uar_another")
    shares = ("right", "wrong", "unknown", "guests_taken_for_somebody", "eer_at_home", "eer_guests", "eer_pooled")
    return markdown(
        (*head, "EER guests %", "EER pooled %", "UAR without", "own profile", "chosen", "another's"),
        (
            (_named(row), row["at_home"], *(percent(row[name]) for name in (*shares, *uars)))
            for row in sorted(rows("people"), key=_place)
        ),
    )


def _place(row: dict) -> tuple:
    return not row["chosen_on_these"], row["corpus"], row["at_home"]


def _named(row: dict) -> str:
    """The corpus, marked where its speakers had no part in the choice of the method."""
    return row["corpus"] if row["chosen_on_these"] else f"{row['corpus']} (new)"


@table("corrections")
def corrections(method: str) -> str:
    """So many corrections of a test speaker, learned by further training (`train`) or by a profile (`profile`)."""
    head = ("corrected", "which", "UAR without", "UAR with", "95 % interval", "gain, 95 % interval", "worst speaker")
    found = [
        row for row in rows("active_learning", set="test", method=method) if row["n_corrections"] or method == "train"
    ]
    return markdown(
        (*head, "better for %", "others without", "others with", "speakers"),
        (
            (
                *(row["n_corrections"], CHOSEN[row["strategy"]], percent(row["uar_without"]), percent(row["uar"])),
                *(interval(row["uar_ci95"]), interval(row["gain_ci95"])),
                *(percent(row["worst_speaker_delta"], sign=True), percent(row["speakers_better"])),
                *(_others(row, "dev_uar_without"), _others(row, "dev_uar"), row["n_speakers"]),
            )
            for row in sorted(found, key=lambda row: (row["n_corrections"], row["strategy"]))
        ),
    )


def _others(row: dict, key: str) -> str:
    """UAR of the development speakers; a profile does not change it."""
    if row["method"] == "profile":
        return "unchanged"
    return NOT_MEASURED if row.get(key) is None else percent(row[key])


@table("profiles-made")
def profiles_made() -> str:
    """Share of test speakers whose corrections sufficed for a profile."""
    found = [row for row in rows("active_learning", set="test", method="profile") if row["n_corrections"]]
    return markdown(
        ("corrected", "which", "profiles made %"),
        (
            (row["n_corrections"], CHOSEN[row["strategy"]], percent(row["profiles_made"]))
            for row in sorted(found, key=lambda row: (row["n_corrections"], row["strategy"]))
        ),
    )


@table("corrections-dev")
def corrections_dev() -> str:
    """The settings tried on development speakers."""
    return markdown(
        ("corrected", "which", "UAR without", "UAR with", "gain, 95 % interval", "others with", "speakers", "settings"),
        (
            (
                *(row["n_corrections"], CHOSEN[row["strategy"]], percent(row["uar_without"]), percent(row["uar"])),
                *(
                    interval(row["gain_ci95"]),
                    percent(row["dev_uar"]),
                    row["n_speakers"],
                    f"`{row['settings'].strip()}`",
                ),
            )
            for row in rows("active_learning", set="dev", method="train")
        ),
    )
