"""The recipes whose test folds are read: what ships, with a lower floor, with the recordings' own noise, without its
floor, with 64 bands, twice as wide, taught, and the first version."""

from collections.abc import Iterable

from benchmarks.experiments import BANDS_64, FLOOR, NO_FLOOR, RECIPE, TAUGHT, WIDE
from benchmarks.jobs import Job
from crnn.data.protocols import protocol_facts

CROSS = "cross-leave-one-out"
HELD_OUT = {corpora["test"][0]: fold for fold, corpora in enumerate(protocol_facts(CROSS)["folds"])}
"""Corpus -> fold of cross-leave-one-out that has not heard it"""
SHIPS = "narrow-96-denoised"
"""The recipe of the bundles in edge/pretrained/, which strangers meet"""
TUNED = "narrow-96"
"""The same, tuned within a corpus: there the recordings are alike, and nothing far below the voice misleads"""


def n_folds(protocol: str) -> int:
    facts = protocol_facts(protocol)
    return len(facts.get("folds") or facts["test"])


TUNE_LONG = ("--config", "configs/tune-long.yaml")
TUNE_SMALL = ("--config", "configs/tune-small.yaml")
RECIPES: dict[str, tuple[str, ...]] = {
    "narrow": (*NO_FLOOR, *BANDS_64),
    "wide": (*NO_FLOOR, *BANDS_64, *WIDE),
    "narrow-96": NO_FLOOR,
    "narrow-96-floor": FLOOR,
    "narrow-96-denoised": RECIPE,
    "narrow-96-denoised-35": (*RECIPE, "--model.spectral_floor_db", "-35"),
    "spine": ("--config", "configs/spine.yaml"),
}
"""Name -> settings of train.py for the cross runs and from scratch"""
TUNE: dict[str, tuple[str, ...]] = {
    "narrow": ("--config", "configs/tune.yaml"),
    "narrow-votes": ("--config", "configs/tune.yaml", "--loss.targets", "votes"),
    "narrow-small": TUNE_SMALL,
    "narrow-small-taught": (*TUNE_SMALL, *TAUGHT),
    "narrow-taught": (*TUNE_LONG, *TAUGHT),
    "wide": TUNE_LONG,
    "narrow-96": TUNE_LONG,
    "narrow-96-denoised": TUNE_LONG,
    "narrow-96-taught": (*TUNE_LONG, *TAUGHT),
}
"""Name -> settings of train.py where it goes on from a cross run; its features, window and model are that run's"""
STARTS = {
    "narrow": "narrow",
    "narrow-votes": "narrow",
    "narrow-small": "narrow",
    "wide": "wide",
    "narrow-taught": "narrow",
    "narrow-96": "narrow-96",
    "narrow-96-denoised": "narrow-96-denoised",
    "narrow-96-taught": "narrow-96",
    "narrow-small-taught": "narrow",
}
"""Whose cross run that is"""
TEACHERS = {
    "narrow-taught": (("wide", 0), ("wide", 1), ("wide", 2)),
    "narrow-small-taught": (("wide", 0), ("narrow-small", 0)),
    "narrow-96-taught": (("narrow-96", 0), ("narrow-96", 1), ("narrow-96", 2)),
}
"""Whose runs on the same fold teach it together: recipes and seeds"""
HALF = ("--optim.epoch_clips", "2000")
OF_PROTOCOL = {"cremad-evar": HALF, "cross-single": HALF}
"""Shorter epochs: within a corpus others have 400 to 1200 clips, and all 5155 would make as many epochs five times as
long; one corpus alone has half of what two have, or less"""


def jobs(recipe: str, protocols: Iterable[str], seeds: Iterable[int], folds: Iterable[int] | None = None) -> list[Job]:
    """The runs of a recipe on all folds, or these, of some protocols; whole seeds first."""
    return [
        job(recipe, protocol, fold, seed)
        for seed in seeds
        for protocol in protocols
        for fold in range(n_folds(protocol))
        if folds is None or fold in folds
    ]


def job(recipe: str, protocol: str, fold: int, seed: int) -> Job:
    """The run of a recipe on one fold; within a corpus it goes on from the cross run that has not heard the corpus.

    Training leaves the test speakers unread: the benchmarks read them, once the recipe is final.
    """
    facts = protocol_facts(protocol)
    common = ("--test", "false", *OF_PROTOCOL.get(protocol, ()))
    if "folds" in facts or recipe not in TUNE:
        return Job(recipe, protocol, fold, seed, (*RECIPES[recipe], *common))
    start = job(STARTS[recipe], CROSS, HELD_OUT[facts["corpus"]], seed)
    taught_by = teachers(TEACHERS.get(recipe, ()), protocol, fold)
    return Job(recipe, protocol, fold, seed, (*TUNE[recipe], *common), start, taught_by)


def teachers(who: Iterable[tuple[str, int]], protocol: str, fold: int) -> tuple[Job, ...]:
    """The runs on one fold that teach another together, by recipe and seed."""
    return tuple(job(recipe, protocol, fold, seed) for recipe, seed in who)
