"""Recognize emotion in recordings, on standard input or at the microphone, without PyTorch.

python stream_infer.py recording.wav                      with the model that ships
python stream_infer.py BUNDLE recording.wav
python stream_infer.py --model large recording.wav        with the larger model: docs/large.md
python stream_infer.py --model OWNER/NAME recording.wav   with a model on the Hugging Face hub: docs/hub.md
python stream_infer.py *.wav --csv emotions.csv           many recordings, a row for each segment
python stream_infer.py recording.wav --rttm               segments for tools of speaker diarization
arecord -t raw -f S16_LE -r 16000 | python stream_infer.py -
python stream_infer.py --mic --view
python stream_infer.py --mic --log emotions.jsonl --mqtt homeassistant.local --mqtt-user ser
python stream_infer.py --mic --rules deploy/rules.yaml    also reports, say, anger that lasts: docs/home.md
python stream_infer.py --mic --keep-unsure FOLDER         stores sound, to be corrected: python -m edge.page

Exit codes: 0 done; 1 some recordings of --csv could not be read; 2 bad input; 130 interrupted.
"""

from crnn.cli.interrupt import interruptible, starting

if __name__ == "__main__":
    starting()

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

import numpy as np

from crnn.cli.command import command, log_to_stderr
from crnn.cli.installed import Parser
from crnn.errors import require
from edge.audio import sources
from edge.audio.events import AudioEvent
from edge.audio.microphone import Microphone, list_devices
from edge.audio.stop import Stop, stopped_by_signals
from edge.audio.vad import add_vad_option
from edge.feedback.recorder import Recorder
from edge.feedback.store import RecordingStore, StoreLimits
from edge.loop.arguments import STDIN, sort_names
from edge.loop.counters import Tally
from edge.loop.firings import Firings, default_path
from edge.loop.listening import listen
from edge.loop.options import refuse_options, refuse_others
from edge.loop.recognition import EmotionModel, open_model
from edge.loop.rule_engine import RuleEngine
from edge.loop.rules import Rule, read_rules
from edge.loop.watchdog import Watchdog
from edge.sinks import csv_table as table
from edge.sinks.chosen import open_sinks
from edge.sinks.lines import StandardOutput

log = logging.getLogger("stream_infer")


def build_parser() -> argparse.ArgumentParser:
    parser = Parser("stream_infer", __doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="[BUNDLE] [FILE ...]",
        help="bundle folder made by quantize.py (default: the int8 model that ships), and a recording "
        "(WAV, FLAC, OGG, MP3 ...; several with --csv) or - for standard input (WAV, AU or raw samples)",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="without a bundle folder: small, the int8 model that ships (default); large, made by quantize.py --large, "
        "for a faster processor; or OWNER/NAME[@REVISION] on the Hugging Face hub (hub extra)",
    )
    parser.add_argument("--runtime", help="inference runtime (default: the bundle's first that is installed)")
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="of the person who speaks, made by python -m edge.enroll; given several times, each utterance is answered "
        "with the one whose voice fits",
    )
    parser.add_argument(
        "--adapt",
        action="store_true",
        help="adapt to one speaker while listening, without labels; experimental (docs/enrolment.md)",
    )
    parser.add_argument("--threads", type=int, default=1, help="inference threads (default: 1)")
    add_vad_option(parser)
    source = parser.add_argument_group("audio")
    source.add_argument("--mic", action="store_true", help="listen to a microphone, until Ctrl-C")
    source.add_argument("--device", help="microphone by index or part of its name (default: the system's)")
    source.add_argument(
        "--channel",
        type=int,
        metavar="N",
        help="microphone channel to use, from 1 (default: the mean of two)",
    )
    source.add_argument("--list-devices", action="store_true", help="list the microphones and end")
    source.add_argument("--rate", type=int, default=16000, help="Hz, of standard input (default: 16000)")
    source.add_argument("--channels", type=int, default=1, help="of standard input (default: 1)")
    source.add_argument(
        "--format",
        choices=tuple(sources.FORMATS),
        default="s16le",
        help="of raw samples on standard input; WAV and AU say it themselves (default: s16le)",
    )
    out = parser.add_argument_group("results")
    out.add_argument("--json", action="store_true", help="JSON lines instead of text")
    out.add_argument("--rttm", action="store_true", help="segments as RTTM instead, for tools of speaker diarization")
    out.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="a table of many recordings, a row for each segment; run it again to continue",
    )
    out.add_argument("--decisions", action="store_true", help="also every decision, four a second while someone speaks")
    out.add_argument("--no-hops", action="store_true", help=argparse.SUPPRESS)  # the default; for one more version
    out.add_argument("--view", action="store_true", help="a live view instead of lines (view extra)")
    out.add_argument("--log", type=Path, metavar="FILE", help="also write segments and audio events there, rotated")
    out.add_argument("--log-decisions", action="store_true", help="and every decision")
    out.add_argument("--log-hops", action="store_true", dest="log_decisions", help=argparse.SUPPRESS)
    out.add_argument(
        "--rules",
        type=Path,
        metavar="FILE",
        help="YAML (rules extra) or JSON: which emotions, held for how long, become events of their own",
    )
    limits = StoreLimits()
    feedback = parser.add_argument_group("sound of what it is least sure of, to be corrected (else it stores none)")
    feedback.add_argument(
        "--keep-unsure", type=Path, metavar="FOLDER", help="store it there: python -m edge.page corrects"
    )
    feedback.add_argument(
        "--keep-unsure-max",
        type=int,
        default=limits.number,
        metavar="N",
        help=f"recordings at a time; the surest goes first (default: {limits.number})",
    )
    feedback.add_argument(
        "--keep-unsure-days",
        type=float,
        default=limits.days,
        metavar="DAYS",
        help=f"then a recording goes (default: {limits.days:g})",
    )
    feedback.add_argument(
        "--keep-unsure-mb",
        type=float,
        default=limits.megabytes,
        metavar="MB",
        help=f"of all recordings together (default: {limits.megabytes:g})",
    )
    mqtt = parser.add_argument_group("MQTT (mqtt extra; the password is in a file or in SER_MQTT_PASSWORD)")
    mqtt.add_argument("--mqtt", metavar="HOST[:PORT]", help="also publish to this broker")
    mqtt.add_argument("--mqtt-user", help="user name at the broker")
    mqtt.add_argument("--mqtt-password-file", type=Path, metavar="FILE", help="its first line is the password")
    mqtt.add_argument("--mqtt-tls", action="store_true", help="encrypt, and check the broker's certificate")
    mqtt.add_argument("--mqtt-ca", type=Path, metavar="FILE", help="certificate authority of a private broker (PEM)")
    mqtt.add_argument("--mqtt-name", help="this device's name (default: the host name)")
    mqtt.add_argument("--mqtt-prefix", default="ser", help="first level of the topics (default: ser)")
    mqtt.add_argument(
        "--mqtt-discovery",
        default="homeassistant",
        metavar="PREFIX",
        help="where Home Assistant looks for devices; empty: this one is not announced (default: homeassistant)",
    )
    parser.may_be_empty.add("mqtt_discovery")
    return parser


def source_and_stop(
    args: argparse.Namespace, file: str | None, sample_rate: int, waiting: Callable[[], None]
) -> tuple[Iterable[np.ndarray | AudioEvent], Stop]:
    if file is None:
        microphone = Microphone(sample_rate, args.device, channel=args.channel, waiting=waiting)
        return microphone, Stop(microphone.close)
    if file == "-":
        require(sys.stdin is not None, "standard input is closed; pipe raw s16le audio to it, or name a file")
        stop = Stop()
        stream = sources.Descriptor(sys.stdin.fileno(), stop)
        return sources.from_raw(stream, args.rate, args.channels, sample_rate, stop, args.format), stop
    return sources.from_file(Path(file), sample_rate), Stop()


def open_recorder(args: argparse.Namespace, bundle: str, rate: int) -> Recorder:
    limits = StoreLimits(args.keep_unsure_max, args.keep_unsure_days, args.keep_unsure_mb)
    recorder = Recorder(RecordingStore(args.keep_unsure), limits, bundle, rate, live=args.mic)
    log.info("the sound of what is least sure is stored in %s: at most %d recordings", args.keep_unsure, limits.number)
    return recorder


def devices(as_lines: bool) -> str:
    found = list_devices()
    if as_lines:
        return "".join(json.dumps(asdict(device)) + "\n" for device in found)
    lines = (
        f"{d.index:3}  {d.name}, {d.rate} Hz, up to {d.channels} channel(s){' (default)' if d.default else ''}\n"
        for d in found
    )
    return "".join(lines) or "no microphone found\n"


def rule_engine(rules: tuple[Rule, ...], live: bool) -> RuleEngine | None:
    """None without rules: then nothing is watched or stored."""
    return RuleEngine(rules, live, Firings(default_path()) if live else None) if rules else None


def summary(counts: Tally) -> str:
    return (
        f"processed {counts.seconds_processed:.1f} s ({counts.seconds_missing:.1f} s missing): "
        f"{counts.results} decisions and warm-ups, {counts.segments} segments, {counts.overruns} overruns, "
        f"{counts.reconnects} reconnections"
    )


def run(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    if args.list_devices:
        StandardOutput().write(devices(args.json))
        return 0
    refuse_options(args)
    names = sort_names(args.names, args.mic, args.csv is not None, args.model)
    model = open_model(
        names.bundle,
        runtime=args.runtime,
        threads=args.threads,
        vad=args.vad,
        profile=args.profile,
        adapt=args.adapt,
    )
    rules = read_rules(args.rules, model.labels) if args.rules else ()
    interruptible()
    if args.csv is not None:
        return write_table(args, model, names.recordings, rules)
    with ExitStack() as stack:
        recorder = None
        if args.keep_unsure is not None:
            identity = model.bundle.manifest.identity
            recorder = stack.enter_context(closing(open_recorder(args, identity, model.sample_rate)))
        utterances = model.utterances(recorder)
        watchdog, file = Watchdog(), names.recordings[0] if names.recordings else None
        source, stop = source_and_stop(args, file, model.sample_rate, watchdog.feed)
        mute = source.mute if isinstance(source, Microphone) else None
        sinks = stack.enter_context(closing(open_sinks(args, model, rules, "".join(names.recordings), mute)))
        stack.enter_context(stopped_by_signals(stop))
        if args.mic:
            log.info("VAD: %s", model.vad)
        live = args.mic or names.recordings == [STDIN]
        watched = watchdog.over(source, sinks.hung_seconds)
        counts = listen(watched, utterances, sinks, stop, rule_engine(rules, live))
    if args.mic:
        log.info("%s", summary(counts))
    return 0


def write_table(args: argparse.Namespace, model: EmotionModel, recordings: list[str], rules: tuple[Rule, ...]) -> int:
    what = "--csv writes a table and nothing else"
    refuse_others(args, what, "view", "json", "rttm", "decisions", "log", "mqtt", "keep_unsure", "adapt")

    def progress(line: str) -> None:
        log.info("%s", line)

    try:
        done = table.write(args.csv, model, recordings, args.profile, progress, rules)
    except KeyboardInterrupt:
        log.info("interrupted; the same command continues")
        raise
    log.info("%s", done)
    return 1 if done.bad else 0


@command
def main(argv: list[str] | None = None) -> int:
    log_to_stderr(logging.INFO)
    return run(build_parser().parse_intermixed_args(argv))


if __name__ == "__main__":
    sys.exit(main())
