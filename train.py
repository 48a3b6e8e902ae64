"""Train a log-mel CRNN, or a system to compare it with, under a named speaker-independent protocol.

SER_DATA=FOLDER python train.py                              RAVDESS, ravdess-luna5 fold 0
python train.py --protocol emodb-loso --data emodb:FOLDER
python train.py --protocol own-data --data csv:FILE          your own recordings (docs/own-data.md)
python train.py --init RUN --data ravdess:FOLDER corrections:FOLDER       with your corrections (docs/corrections.md)
python train.py --config configs/self-supervised.yaml --data unlabelled:FOLDER       speech without labels, for --init
python train.py --config configs/systems/cnn.yaml                    another model than the CRNN (docs/systems.md)
python train.py --out runs/mine --resume                     after an interruption
"""

from __future__ import annotations

from crnn.cli.interrupt import starting

if __name__ == "__main__":
    starting()

import contextlib
import json
import logging
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from augment.config import AugmentConfig, with_folders
from augment.pipeline import chains, settings_given
from crnn.cli.arguments import present_arguments
from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser, install, program
from crnn.cli.termination import Termination
from crnn.errors import InputError
from crnn.files.typed import require_finite
from crnn.run_config import RunConfig
from crnn.training.origin import origin
from crnn.training.self_supervision import check_self_supervision, training_alone
from crnn.training.summary import text
from edge.preflight import needed

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from augment.pipeline import Chains
    from crnn.data.augmented import AugmentedCopies
    from crnn.data.embeddings import Steps
    from crnn.data.prepare import Prepared
    from crnn.models.pretrained import SpeechEncoder
    from crnn.training.initial_weights import Start
    from crnn.training.text import Text, TextSources

log = logging.getLogger("train")


def build_parser(described: bool = True) -> ArgumentParser:
    """`described`: with what each setting means, which takes half of the time."""
    from jsonargparse import ArgumentParser, set_parsing_settings

    set_parsing_settings(docstring_parse_attribute_docstrings=described)

    class OneLine(ArgumentParser):
        def error(self, message: str, *_) -> NoReturn:
            """An error is one line, without the usage."""
            raise InputError(f"{' '.join(str(message).split())} (see {program('train')} --help)")

    parser = OneLine(prog=program("train"), description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument(
        "--config",
        action="config",
        help="YAML or JSON file with any of the settings below, or the name of one in configs/",
    )
    parser.add_argument(
        "--data",
        nargs="*",
        default=[],
        metavar="CORPUS:FOLDER",
        help="where the recordings are; empty = $SER_DATA/CORPUS; your own: folder:PATH, csv:FILE, audiofolder:PATH, "
        "parquet:PATH or audformat:FOLDER, without labels unlabelled:PATH; besides, to learn from as well: "
        "corrections:PATH",
    )
    parser.add_argument("--out", type=str, default="", help="run folder; empty = runs/PROTOCOL-foldN-seedN")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out from its last epoch")
    parser.add_argument("--test", type=bool, default=True, help="read the test fold once, at the end")
    parser.add_argument("--cache", type=str, default="", help="folder for decoded audio; empty = ~/.cache/ser")
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    parser.add_class_arguments(RunConfig)
    parser.add_argument("--augment", type=AugmentConfig, default=AugmentConfig())
    return parser


def parse(argv: list[str] | None) -> tuple[Namespace, RunConfig, AugmentConfig, Start | None]:
    """The command line as arguments, settings and the model to start from. Raises InputError."""
    words = sys.argv[1:] if argv is None else argv
    parser = build_parser(described=any(word.startswith(("-h", "--help", "--print")) for word in words))
    try:
        given = parser.parse_args(present_arguments(words), defaults=False)
    except (TypeError, ValueError) as error:  # the library's own, where a section is given a plain value
        raise error if isinstance(error, InputError) else InputError(f"settings of another kind: {error}") from error
    start = None
    if given.get("init"):
        from edge.export.weights import open_start  # torch

        start = open_start(given.init)
        parser.set_defaults(start.settings)
    args = parser.get_defaults()
    for key, value in given.items():  # options and settings files come before the settings of the start
        args[key] = value
    try:
        values = parser.instantiate(args)
    except ValueError as error:
        raise InputError(str(error)) from error
    require_finite(values.augment, "augment")
    config = RunConfig(**{name: values[name] for name in RunConfig.__dataclass_fields__})
    return args, config, with_folders(values.augment), start


def run(
    args: Namespace, config: RunConfig, augment: AugmentConfig, start: Start | None, made: dict, ends: Termination
) -> dict | None:
    """Train and evaluate; returns the content of metrics.json, or None in a process that is not the first.

    `made` is the origin of the run (`crnn.training.origin`); signals raise after the imports (`ends.begin`).
    """
    with needed(program("train"), "train"):
        from crnn.data import prepare as preparation

    check_self_supervision(config)
    encoder, sources = open_pretrained(config)
    data = preparation.locate_data(config.protocol, config.fold, preparation.given_folders(args.data))
    # Imported here so that `train.py --help`, a mistyped option and a missing folder answer at once.
    from lightning.pytorch.utilities.rank_zero import rank_zero_only

    from crnn.data.inputs import LOG_MEL, WAVEFORM
    from crnn.models.registry import check_kind, input_of
    from crnn.training.evaluation import evaluate
    from crnn.training.fit import fit
    from crnn.training.initial_weights import refuse_other_settings
    from crnn.training.report import write_report
    from crnn.training.run_folder import RunFolder
    from crnn.training.setup import build_training, log_model, refuse_before_copies
    from crnn.training.teacher import open_taught
    from crnn.training.text import open_text
    from crnn.training.unused_settings import unused_settings

    ends.begin()
    check_kind(config)
    first = rank_zero_only.rank == 0  # type: ignore[attr-defined] # set on the function when Lightning is imported
    folder = RunFolder(Path(args.out or f"runs/{config.protocol}-fold{config.fold}-seed{config.seed}"))
    if first:
        folder.open_for(config, asdict(augment), asdict(AugmentConfig()), args.resume)
    if folder.finished():
        metrics = folder.finished_metrics(args.test)
        log.info("%s is finished", folder.path)
        return metrics if first else None

    for line in unused_settings(config, settings_given(augment)):
        log.warning("%s", line)
    if start:
        refuse_other_settings(start, config)
    chain = open_chains(config, augment)
    cache_folder = Path(args.cache) if args.cache else None
    prepared = preparation.prepare(config, data, cache_folder)
    if config.self_supervised.on:
        prepared = training_alone(config, prepared)
    if folder.exists():
        folder.check_split(prepared.split)
    refuse_before_copies(config, prepared.split, start)
    split, cache = prepared.split, prepared.cache
    said = open_text(config, sources, split.utterances, cache, cache_folder) if sources else None
    copies = open_copies(config, chain, prepared, encoder, cache_folder, said)
    teacher = encoder if config.teacher.encoder else None
    taught = open_taught(config, prepared.split, prepared.cache, teacher, cache_folder) if teacher else None
    batch = None if said else {LOG_MEL: chain.batch, WAVEFORM: chain.waveforms}.get(input_of(config))
    parts = build_training(config, prepared.split, prepared.cache, copies, batch, start, taught, said)
    if folder.exists():
        folder.check_taught_by(parts.taught_by)
    log_model(parts.task.model, config)
    if first and not folder.exists():
        folder.write("split", prepared.split.describe(parts.before))
        folder.write_config(config, data, asdict(augment), parts.taught_by)

    result = fit(parts.task, parts.train, parts.dev, folder.checkpoints, resume=args.resume)
    if not first:
        return None
    metrics = evaluate(config, prepared, parts, result, args.test) | {"taught_by": parts.taught_by, "made": made}
    write_report(folder.report, metrics)
    folder.write("metrics", metrics)  # last: its presence says that the run is finished
    log.info("report: %s", folder.report)
    return metrics


def open_pretrained(config: RunConfig) -> tuple[SpeechEncoder | None, TextSources | None]:
    """The speech encoder that teaches, or that the model rests on, and what text rests on, if any. Raises InputError
    before recordings are decoded."""
    if not (config.teacher.encoder or config.system.encoder or config.text.encoder):
        return None, None
    import augment.torchaudio_import  # noqa: F401  # transformers imports it, which fails beside a CPU-only torch
    from crnn.models import pretrained, pretrained_encoder
    from crnn.training.text import open_sources

    sources = open_sources(config)
    if config.system.encoder:
        return pretrained_encoder.encoder_of(config), sources
    if config.teacher.encoder:
        return pretrained.open_encoder(pretrained.located(config.teacher.encoder), config.teacher.layers), sources
    return None, sources


def open_chains(config: RunConfig, augment: AugmentConfig) -> Chains:
    """The augmentation chains that the settings describe. Raises InputError."""
    features = config.features
    try:
        return chains(
            augment, features.sample_rate, config.geometry.window_samples, features.log_offset, features.hop_length
        )
    except (OSError, ValueError) as error:
        raise InputError(str(error)) from error


def open_copies(
    config: RunConfig,
    chain: Chains,
    prepared: Prepared,
    encoder: SpeechEncoder | None,
    cache_folder: Path | None,
    said: Text | None = None,
) -> AugmentedCopies | Steps:
    """What the model is trained on: augmented copies of the recordings, their steps by its frozen encoder, or the
    tokens of what is said in them. Raises InputError."""
    from crnn.data.augmented import open_augmented
    from crnn.data.embeddings import open_steps
    from crnn.data.inputs import STEPS, TOKENS, WAVEFORM
    from crnn.models.registry import input_of

    cache, corpora, takes = prepared.cache, prepared.split.corpora, input_of(config)
    if said and takes == TOKENS:
        return said.tokens
    if encoder and takes == STEPS:
        shape = len(encoder.layers), encoder.layer_width
        return open_steps(cache, corpora, encoder.key, shape, encoder.steps, cache_folder)
    settings = chain.copy_settings, chain.make_copy_augment
    try:
        return open_augmented(cache, corpora, config.features, *settings, cache_folder, takes == WAVEFORM)
    except OSError as error:
        raise InputError(str(error)) from error


def help_without_extra(argv: list[str] | None) -> int:
    """The message if the package is missing that turns settings into options; returns 2. With --help it exits."""
    missing = f"training needs PyTorch and more: {install('train')}"
    parser = Parser("train", f"{__doc__}\nIts options are the settings of a training run, and {missing}")
    parser.parse_known_args(argv)  # ends here if --help is among them
    sys.stderr.write(f"error: {missing}\n")
    return 2


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.INFO)
    if find_spec("jsonargparse") is None:
        return help_without_extra(argv)
    args, config, augment, start = parse(argv)
    ends = Termination()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Lightning's progress bar; standard output is for the result
            metrics = run(args, config, augment, start, origin("train", argv), ends)
    except KeyboardInterrupt:
        sys.stderr.write(f"{ends.reason}; continue with --resume\n")
        return ends.exit_code
    if metrics is not None:
        sys.stdout.write((json.dumps(metrics) if args.json else text(metrics)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
