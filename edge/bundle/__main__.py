"""Print the properties of a bundle, after checking its hashes.

    python -m edge.bundle BUNDLE [--json]
    python -m edge.bundle --model OWNER/NAME --save FOLDER       fetch a bundle from the Hugging Face hub: docs/hub.md
    python -m edge.bundle BUNDLE --save FOLDER                   a folder that the hub takes

Also tries every installed runtime: loads its files and replays the golden waveform. Exit codes: 0 everything works;
1 a runtime refuses its files; 2 not a valid bundle.
"""

from crnn.cli.interrupt import starting

if __name__ == "__main__":
    starting()

import argparse
import json
import logging
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser
from crnn.errors import InputError, require
from crnn.files.printable import shown
from edge import runtimes
from edge.bundle import MANIFEST, WINDOW, Bundle, ModelFiles
from edge.bundle.find import find_bundle
from edge.bundle.origin import small_origin
from edge.bundle.save import save_bundle

WORKS = "golden values given"


def describe(bundle: Bundle) -> dict:
    """The properties of a bundle whose hashes are checked, as plain values."""
    manifest = bundle.manifest
    g, rate = manifest.geometry, manifest.features.sample_rate
    tensors = _tensors(bundle)
    proved = {name: _runtime(bundle, name) for name in manifest.models}
    return {
        "bundle": str(bundle.path),
        "bytes": sum((bundle.path / name).stat().st_size for name in (*manifest.files, MANIFEST)),
        "labels": list(manifest.labels),
        "features": asdict(manifest.features),
        "window_seconds": g.sound_samples / rate,
        "hop_seconds": g.interval_samples / rate,
        **({"arousal": True} if manifest.arousal else {}),
        **({"kind": manifest.kind} if manifest.kind == WINDOW else {}),
        **({"beside": _beside(bundle, proved)} if manifest.beside else {}),
        "decision": asdict(manifest.decision),
        "runtimes": proved,
        "files": {
            name: {**facts, "checked": True, "tensors": tensors.get(name)} for name, facts in manifest.files.items()
        },
        "provenance": {key: value for key, value in manifest.provenance.items() if key != "tensors"},
    }


def _beside(bundle: Bundle, proved: dict[str, dict]) -> dict:
    """The small model that answers together with this one; contracts of its files under runtimes that take them."""
    small = bundle.manifest.small
    origin = small_origin(bundle.manifest.provenance, bundle.path / MANIFEST)
    made = {}
    for name in small.models:
        files = small.model_files(name)
        works = proved[name]["state"] == WORKS
        made[name] = asdict(files) | {"contracts": _contracts(bundle, name, files) if works else {}}
    rate = small.features.sample_rate
    seconds = small.geometry.sound_samples / rate
    return {"features": asdict(small.features), "window_seconds": seconds, "runtimes": made, "origin": asdict(origin)}


def _tensors(bundle: Bundle) -> dict[str, dict[str, int]]:
    """File -> bytes of its constants by type, read from the file; as the provenance says where no runtime is known."""
    manifest, found = bundle.manifest, bundle.manifest.provenance.get("tensors", {})
    require(isinstance(found, dict), f"{bundle.path / MANIFEST}: provenance.tensors must hold named values")
    for part in (manifest, manifest.small) if manifest.beside else (manifest,):
        for runtime in set(part.models) & set(runtimes.REGISTRY):
            files = part.model_files(runtime)
            with suppress(InputError):  # of a damaged file, which the runtime refuses below
                for file in (files.encoder, files.head):
                    found = found | {file: runtimes.constants(runtime, bundle.path / file)}
    return found


def _runtime(bundle: Bundle, name: str) -> dict:
    """The files of one runtime; if it is installed, also their inputs and outputs and the result of the replay."""
    files = bundle.manifest.model_files(name)
    made = {"scheme": files.scheme, "encoder": files.encoder, "head": files.head, "contracts": {}, "state": ""}
    if not runtimes.installed(name):
        return made | {"state": "not installed here"}
    try:
        bundle.recognizer(name)  # first, because it tries a bundle from elsewhere in a child process
        return made | {"contracts": _contracts(bundle, name, files), "state": WORKS}
    except InputError as error:
        return made | {"state": f"refused: {error}"}


def _contracts(bundle: Bundle, name: str, files: ModelFiles) -> dict[str, dict]:
    """File -> names and shapes of its input and output."""
    return {file: asdict(runtimes.load(name, bundle.path / file).contract) for file in (files.encoder, files.head)}


def as_text(made: dict) -> str:
    """The same as text."""
    features, decision = made["features"], made["decision"]
    lines = [
        f"{made['bundle']}: {made['bytes']:,} bytes, every hash checked",
        f"labels     {', '.join(made['labels'])}",
        *(["arousal    0 to 1, beside the labels"] if made.get("arousal") else []),
        f"input      {features['sample_rate']} Hz mono, float32 in [-1, 1]",
        f"features   {_bands(features)}",
        f"window     {made['window_seconds']:.2f} s, a decision every {made['hop_seconds']:.2f} s"
        + (", recomputed for each" if made.get("kind") == WINDOW else ""),
        *(_beside_lines(made["beside"]) if "beside" in made else []),
        f"decision   temperature {decision['temperature']:.2f}, uncertain below {decision['min_confidence']:.2f}",
    ]
    for name, runtime in made["runtimes"].items():
        small = made.get("beside", {}).get("runtimes", {}).get(name)
        schemes = f"{runtime['scheme']}, beside it {small['scheme']}" if small else runtime["scheme"]
        lines.append(f"{name:10} {schemes}: {runtime['state']}")
        for file, contract in (runtime["contracts"] | (small["contracts"] if small else {})).items():
            lines.append(f"           {file}: {runtimes.Contract(**contract)}")
    lines.append("files")
    try:
        for name, facts in made["files"].items():
            types = ", ".join(f"{kind} {size:,}" for kind, size in (facts["tensors"] or {}).items())
            lines.append(f"  {name:28} {facts['bytes']:>9,}  {facts['sha256'][:12]}  {types}".rstrip())
        lines += _provenance(made["provenance"], ", both models together" if "beside" in made else "")
    # Provenance has no schema: quantize.py writes it for people. Values of other types raise these.
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        raise InputError(f"{made['bundle']}: {MANIFEST} has a provenance that quantize.py does not write") from error
    return "\n".join(map(shown, lines))


def _bands(features: dict) -> str:
    return (
        f"{features['n_mels']} log-mel bands from {features['f_min']:g} to {features['f_max']:g} Hz, "
        f"frames of {features['n_fft']} samples every {features['hop_length']}"
    )


def _beside_lines(small: dict) -> list[str]:
    origin = small["origin"]
    seed = "" if origin["seed"] is None else f", seed {origin['seed']}"
    taught = "; ".join(f"{t['family']} {t['name']}, layers {list(t['layers'])}" for t in origin["taught_by"])
    return [
        "beside     a small model; the answer is the mean of both models' log-probabilities",
        f"           trained on {'+'.join(origin['corpora_heard'])}{seed}"
        + (f", taught by {taught}" if taught else ""),
        f"           {origin['n_params']:,} parameters, {origin['macs_per_window'] / 1e6:.1f} M multiply-accumulates "
        f"per window, of the bundle {origin['identity'][:12]}",
        f"           {_bands(small['features'])}; window of {small['window_seconds']:.2f} s",
    ]


def _provenance(where: dict, of: str) -> list[str]:
    """Origin, and figures with their intervals; `of`: whose they are."""
    origin = [f"{key} {where[key]}" for key in ("corpus", "protocol", "fold", "split_hash", "seed") if key in where]
    lines = [f"trained    {', '.join(origin)}"] if origin else []
    if "contains" in where:
        encoder = where["contains"]
        lines.append(f"contains   {encoder['family']} {encoder['name']}, layers {encoder['layers']}: its licence holds")
    if where.get("synthetic"):
        lines.append("           on GENERATED voices: for tests only, not for people")
    if "n_params" in where:
        lines.append(
            f"model      {where['n_params']:,} parameters, {where['macs_per_window'] / 1e6:.1f} M multiply-accumulates "
            f"per window{of}, {where['pruning']:.0%} of channels and LSTM units pruned"
        )
    for step in where.get("pruning_steps", []):
        lines.append(
            f"           {step['share']:.0%} pruned: channels {step['channels']}, {step['lstm_units']} LSTM units, "
            f"{step['bytes']:,} bytes, UAR {step['uar']:.1%} on dev"
        )
    for part, figures in where.get("trained_model", {}).items():
        interval = figures.get("uar_ci95")
        between = f" ({interval[0]:.1%} to {interval[1]:.1%})" if interval else ""
        lines.append(f"UAR {part:6} {figures['uar']:.1%}{between}, {figures['n_clips']} clips{of}, before compression")
        for corpus, found in figures.get("arousal", {}).items():
            named = (("CCC with listeners' ratings", found.get("ccc")), ("rank correlation", found["spearman"]))
            shown_figures = ", ".join(f"{name} {value:.2f}" for name, value in named if value is not None)
            lines.append(f"arousal    {part}, {corpus}: {shown_figures or 'constant'}")
    lines += _calibrated_on((where.get("confidence_dev") or {}).get("chosen_on") or {})
    for row in where.get("files_on_dev", []):
        lines.append(
            f"           {row['files']}{of}: UAR {row['uar']:.1%} on dev ({-row['uar_drop']:+.1%}), "
            f"{row['flip_rate']:.1%} of decisions flipped, probabilities at most {row['max_abs_diff']:.2g} off"
        )
    made_with = ", ".join(f"{name} {version}" for name, version in where.get("made_with", {}).items())
    return [*lines, f"made with  {made_with}"] if made_with else lines


def _calibrated_on(chosen_on: dict) -> list[str]:
    """The data behind temperature and threshold, and a warning if the model may be guessing; older bundles lack it."""
    lines = []
    if chosen_on.get("at_chance"):
        lines.append(f"WARNING    {chosen_on['at_chance']}")
    if chosen_on.get("unfitted"):
        lines.append(f"confidence not calibrated: {chosen_on['unfitted']}")
    elif chosen_on.get("given"):
        lines.append(
            f"temperature given, not fitted; threshold of {chosen_on['clips']} clips of {chosen_on['speakers']} "
            "development speakers"
        )
    elif "effective_clips" in chosen_on:
        lines.append(
            f"confidence calibrated on {chosen_on['clips']} clips of {chosen_on['speakers']} development speakers, "
            f"worth {chosen_on['effective_clips']:g} independent clips"
        )
    return lines


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("edge.bundle", __doc__)
    parser.add_argument("bundle", nargs="?", type=Path, help="bundle folder made by quantize.py")
    parser.add_argument(
        "--model", metavar="NAME", help="instead of a folder: small, large, or OWNER/NAME[@REVISION] on the hub"
    )
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="also copy it there, in the form the hub takes")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.INFO)
    args = build_parser().parse_args(argv)
    require((args.bundle is None) != (args.model is None), "name a bundle's folder, or a model with --model; not both")
    bundle = Bundle.open(args.bundle or find_bundle(args.model))
    made = describe(bundle)
    if args.save:
        save_bundle(bundle, args.save)
    sys.stdout.write((json.dumps(made) if args.json else as_text(made)) + "\n")
    return 1 if any(runtime["state"].startswith("refused") for runtime in made["runtimes"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
