"""Tables of enrolment and corrections."""

from benchmarks.harness.results import rows
from benchmarks.tables.markdown import NOT_MEASURED, interval, markdown, percent, table

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
