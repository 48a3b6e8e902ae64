"""Every recipe that was tried, by name: settings of train.py on top of the defaults."""

WIDE = ("--model.channels", "[16, 32, 48, 80]", "--model.lstm_units", "64")
NARROW = ("--model.channels", "[16, 24, 32, 48]", "--model.lstm_units", "48")
TAUGHT = ("--loss.teacher_share", "0.8")


def _schedule(epochs: int, *extra: str, batch_size: int = 32, rate: str = "3e-3") -> tuple[str, ...]:
    return (
        *("--optim.schedule", "cosine", "--optim.warmup_epochs", "1", "--optim.epochs", str(epochs)),
        *("--optim.batch_size", str(batch_size), "--optim.learning_rate", rate),
        *("--optim.early_stop_patience", "1000", *extra),
    )


SCREEN = _schedule(12, "--optim.epoch_clips", "2000", "--optim.eval_every", "3")
"""Enough to tell recipes far apart from each other, not to finish"""

CROSS = {
    "base": (),
    "planes-level": ("--model.inputs", "[level]"),
    "planes-contrast": ("--model.inputs", "[contrast]"),
    "head-both": ("--model.head", "both"),
    "response-4": ("--augment.response_db", "4"),
    "narrow": ("--model.channels", "[16, 24, 32, 48]", "--model.lstm_units", "48"),
}

RECIPE = ("--config", "configs/recipe.yaml")
"""What ships: 96 bands over 64 ms, trained on recordings without their own noise, heard with a floor"""
AS_RECORDED = (
    *("--augment.denoise", "false", "--augment.max_background_db", "-25", "--augment.steady_noise", "false"),
    *("--optim.eval_every", "2"),
)
"""As it was before: with the noise of every recording, and the epoch that the corpora's own speakers chose"""
FLOOR = (*RECIPE, *AS_RECORDED)
NO_FLOOR = (*FLOOR, "--model.spectral_floor_db", "null")
BANDS_64 = ("--features.n_mels", "64", "--features.n_fft", "800")
MS_64 = ("--features.n_fft", "1024")
MS_80 = ("--features.n_fft", "1280")
BANDS_96 = ("--features.n_mels", "96")
BANDS_128 = ("--features.n_mels", "128", "--model.channels", "[12, 24, 32, 48]")
"""With fewer channels in the first block: otherwise past 60 M multiply-accumulates"""
DENOISED = ("--augment.denoise", "true", "--augment.max_background_db", "-10")
"""Each recording's own noise taken away, and another one laid under it, as loud as 10 dB below the voice"""
HISS = ("--augment.steady_noise", "true")
FULL = {
    "full": (*NO_FLOOR, *BANDS_64),
    "full-wide": (*NO_FLOOR, *BANDS_64, *WIDE),
    "full-taught": (*NO_FLOOR, *BANDS_64, *TAUGHT),
    "full-96": NO_FLOOR,
    "full-floor": FLOOR,
    "full-denoised": (*NO_FLOOR, *DENOISED),
    "full-denoised-hiss": (*NO_FLOOR, *DENOISED, *HISS),
    "full-denoised-hiss-floor": RECIPE,
}
"""At the full length of configs/recipe.yaml"""

ON_NARROW = {
    "no-mixup": ("--augment.mixup", "false"),
    "votes": ("--loss.targets", "votes"),
    "cross-entropy-smoothed": ("--loss.gamma", "0", "--loss.label_smoothing", "0.1"),
    "shift": ("--augment.shift", "true"),
}

LIGHT = (
    *("--augment.mixup", "false", "--augment.style", "false"),
    *("--augment.min_gain_db", "-10", "--augment.time_mask_param", "16"),
)
TUNE_96 = ("--optim.epochs", "60", *LIGHT, *BANDS_96, *MS_64)
REVERB = ("--augment.reverb", "true")
TUNE = ("--config", "configs/tune.yaml", "--optim.epochs", "24", "--optim.eval_every", "2")
ON_TUNE = {
    "tune-no-mixup": ("--augment.mixup", "false"),
    "tune-light": LIGHT,
    "tune-60": ("--optim.epochs", "60"),
    "tune-batch-16": ("--optim.batch_size", "16"),
    "tune-wide-60": (*WIDE, "--optim.epochs", "60"),
    "tune-wide-60-light": (*WIDE, "--optim.epochs", "60", *LIGHT),
    "tune-wide-60-level": (*WIDE, "--optim.epochs", "60", "--model.inputs", "[level,local]"),
    "tune-wide-60-light-taught": (*WIDE, "--optim.epochs", "60", *LIGHT, *TAUGHT),
    "tune-60-light": ("--optim.epochs", "60", *LIGHT),
    "tune-60-light-reverb": ("--optim.epochs", "60", *LIGHT, *REVERB),
    "tune-60-light-taught": ("--optim.epochs", "60", *LIGHT, *TAUGHT),
    "tune-60-light-96": TUNE_96,
    "tune-60-light-96-denoised": TUNE_96,
}
THREE_WIDE = (("wide", 0), ("wide", 1), ("wide", 2))
TEACHERS = {
    "tune-wide-60-light-taught": THREE_WIDE,
    "tune-60-light-taught": THREE_WIDE,
    "full-taught": (("wide", 0),),
}
"""Whose runs on the same fold teach an experiment together: recipes and seeds"""

SMOOTHED = ("--loss.gamma", "0", "--loss.label_smoothing", "0.1")
FACTORS = {
    "none": (),
    "no-speed": ("--augment.speed", "false"),
    "no-room": ("--augment.room", "false"),
    "no-noise": ("--augment.noise", "false"),
    "no-microphone": ("--augment.microphone", "false"),
    "no-gain": ("--augment.gain", "false"),
    "no-style": ("--augment.style", "false"),
    "no-mixup": ("--augment.mixup", "false"),
    "no-masks": ("--augment.spec", "false"),
    "no-class-weights": ("--loss.class_weights", "false"),
    "focal": ("--loss.gamma", "2", "--loss.label_smoothing", "0"),
    "plateau": (
        *("--optim.schedule", "plateau", "--optim.warmup_epochs", "0"),
        *("--optim.eval_every", "1", "--optim.plateau_patience", "1"),
    ),
    "no-ema": ("--optim.ema_decay", "0"),
    "head-pool": ("--model.head", "pool"),
    "head-both": ("--model.head", "both"),
    "window-4.5": ("--window.window_seconds", "4.5"),
    "copy-paste": ("--augment.copy_paste", "true"),
    "balance-0": ("--optim.corpus_balance", "0"),
    "balance-1": ("--optim.corpus_balance", "1"),
    "reverb": REVERB,
    "64-ms": MS_64,
    "96-bands": BANDS_96,
    "96-bands-64-ms": (*BANDS_96, *MS_64),
    "96-bands-80-ms": (*BANDS_96, *MS_80),
    "128-bands-64-ms": (*BANDS_128, *MS_64),
    "128-bands-80-ms": (*BANDS_128, *MS_80),
}
"""One part of the recipe, with 64 bands, taken away or put in another's place"""

UNION = {
    "union-masked": (*SCREEN, *NARROW, *SMOOTHED),
}
"""Every emotion of the corpora trained on, the probe still judged on the six that all share"""

MORE_STEPS = (*LIGHT, "--optim.batch_size", "16", "--optim.epochs", "80", "--optim.eval_every", "8")
"""390 clips make 12 batches of 32, so 40 epochs are 480 steps; a fold of RAVDESS gets 1120"""

ON_EMODB = {
    "emodb": (),
    "emodb-light": LIGHT,
    "emodb-more-steps": MORE_STEPS,
    "emodb-batch-16": ("--optim.batch_size", "16"),
}
"""On top of configs/tune.yaml at its full length; looks at the development speakers are as many for all (10)"""

STARTS: dict[str, str | None] = {
    "tune-wide-60": "full-wide",
    "tune-wide-60-light": "full-wide",
    "tune-wide-60-level": None,
    "tune-wide-60-light-taught": "wide",
    "tune-60-light-96": "full-96",
    "tune-60-light-96-denoised": "full-denoised-hiss-floor",
}
"""The recipe or experiment across corpora whose weights an experiment within a corpus starts from (None: random
ones), where it is not the narrow recipe"""

EXPERIMENTS = {
    "cross": {name: (*SCREEN, *settings) for name, settings in CROSS.items()}
    | {f"narrow-{name}": (*SCREEN, *NARROW, *settings) for name, settings in ON_NARROW.items()}
    | {f"factor-{name}": (*SCREEN, *NARROW, *SMOOTHED, *settings) for name, settings in FACTORS.items()}
    | FULL,
    "luna5": {name: (*TUNE, *settings) for name, settings in ON_TUNE.items()},
    "union": UNION,
    "emodb": {name: ("--config", "configs/tune.yaml", *settings) for name, settings in ON_EMODB.items()},
}
