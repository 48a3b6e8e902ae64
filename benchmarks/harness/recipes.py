"""The recipes that the benchmarks measure: for unseen corpora the one that ships and the one before it, and one tuned
within a corpus."""

from collections.abc import Iterable

from benchmarks.harness.jobs import Job
from crnn.data.protocols import n_folds, protocol_facts
from crnn.errors import require

CROSS = "cross-leave-one-out"
LEAVE_ONE_OUT = "leave-one-corpus-out"
HELD_OUT = {
    protocol: {corpora["test"][0]: fold for fold, corpora in enumerate(protocol_facts(protocol)["folds"])}
    for protocol in (CROSS, LEAVE_ONE_OUT)
}
"""Protocol -> corpus -> fold that leaves it out"""
SHIPS = "wide-80"
"""The recipe of the bundles in edge/pretrained/, for unseen corpora"""
BEFORE = "taught-80"
"""The recipe of the bundles before: a narrower network, trained half as long, without arousal"""
TAUGHT = (SHIPS, BEFORE)
"""Recipes whose runs a speech encoder teaches"""
TUNED = "narrow-96"
"""96 bands on recordings without denoising, tuned within a corpus"""
LARGE = "large: Whisper base, int8, windows of 3 s"
"""The larger bundle, in result files"""
PAIR = f"{LARGE}; beside it crnn {SHIPS}"
"""It with the small model, as both answer together"""
RECIPE = ("--config", "configs/recipe.yaml")
WITHOUT_LABELS = ("emotiontts", "emospeech_india")
"""Corpora on which the speech encoder alone teaches: their labels make it worse on every other corpus"""
BY_ENCODER = ("--teacher.only", f"[{','.join(WITHOUT_LABELS)}]")
NARROW = ("--model.channels", "[16,24,32,48]", "--model.arousal", "false")
HALF_AS_LONG = ("--optim.epochs", "40", "--optim.eval_every", "40")
AS_RECORDED = (
    *("--features.n_mels", "96", "--features.f_max", "7600", "--optim.epochs", "20"),
    *("--augment.denoise", "false", "--augment.max_background_db", "-25", "--augment.steady_noise", "false"),
    *("--optim.eval_every", "2", "--model.spectral_floor_db", "null"),
)
"""With the noise of every recording, without a spectral floor, the epoch chosen on the corpora's own speakers"""
RECIPES: dict[str, tuple[str, ...]] = {
    SHIPS: (*RECIPE, *BY_ENCODER),
    BEFORE: (*RECIPE, *BY_ENCODER, *NARROW, *HALF_AS_LONG),
    TUNED: (*RECIPE, *NARROW, *AS_RECORDED),
}
"""Name -> settings of train.py for runs across corpora"""
TUNE = ("--config", "configs/tune-long.yaml")
"""Settings of train.py within a corpus, where a run continues from one across corpora: its features and model stay"""
HALF = ("--optim.epoch_clips", "2000")
SHORTER_EPOCHS = {"cremad-evar": HALF, "cross-single": HALF}
"""Protocol -> settings: one epoch over all clips would take several times as long as on the other protocols"""


def jobs(recipe: str, protocols: Iterable[str], seeds: Iterable[int], folds: Iterable[int] | None = None) -> list[Job]:
    """The runs of a recipe on all folds, or on `folds`, of some protocols; seed by seed.

    Raises InputError if no protocol has such a fold, or no run across corpora leaves out a protocol's corpus.
    """
    protocols = list(protocols)
    made = [
        job(recipe, protocol, fold, seed)
        for seed in seeds
        for protocol in protocols
        for fold in range(n_folds(protocol))
        if folds is None or fold in folds
    ]
    require(bool(made), f"--folds {folds}: no such fold in {', '.join(protocols)}")
    return made


def job(recipe: str, protocol: str, fold: int, seed: int) -> Job:
    """The run of a recipe on one fold; within a corpus it continues from the cross run that left the corpus out.

    Training leaves the test speakers unread: the benchmarks read them after the recipe is final.
    """
    facts = protocol_facts(protocol)
    common = ("--test", "false", *SHORTER_EPOCHS.get(protocol, ()))
    if "folds" in facts or "corpus" not in facts:
        return Job(recipe, protocol, fold, seed, (*RECIPES[recipe], *common), taught=recipe in TAUGHT)
    corpus = facts["corpus"]
    across = LEAVE_ONE_OUT if recipe in TAUGHT or corpus not in HELD_OUT[CROSS] else CROSS
    held_out = HELD_OUT[across]
    require(
        corpus in held_out,
        f"{protocol}: no run across corpora leaves out {corpus}; give a protocol of {', '.join(held_out)}",
    )
    start = job(recipe, across, held_out[corpus], seed)
    return Job(recipe, protocol, fold, seed, (*TUNE, *common), start)
