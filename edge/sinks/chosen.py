"""The sinks that the options of stream_infer.py name."""

import argparse
from collections.abc import Callable
from pathlib import Path

from edge.loop.events import Sink
from edge.loop.recognition import EmotionModel
from edge.loop.rules import Rule
from edge.sinks import FanOut, live
from edge.sinks.file import FileSink
from edge.sinks.lines import LinesSink, StandardOutput, as_json, as_text
from edge.sinks.mqtt import MqttSink
from edge.sinks.mqtt_settings import MqttSettings, parse_broker
from edge.sinks.rttm import RttmSink
from edge.sinks.terminal import TerminalSink


def open_sinks(
    args: argparse.Namespace,
    model: EmotionModel,
    rules: tuple[Rule, ...],
    recording: str,
    mute: Callable[[bool], None] | None,
) -> FanOut:
    """`recording`: its name, for RTTM. `mute`: of the microphone, if there is one. Raises InputError, or OSError for a
    log that cannot be written."""
    out, labels = StandardOutput(), model.labels
    sinks: dict[str, Sink] = {}
    if args.log:
        sinks[str(args.log)] = FileSink(args.log, labels, decisions=args.log_decisions)
    if args.mqtt:
        host, port = parse_broker(args.mqtt)
        settings = MqttSettings(
            host,
            port,
            user=args.mqtt_user,
            password_file=args.mqtt_password_file,
            tls=args.mqtt_tls,
            ca_file=args.mqtt_ca,
            prefix=args.mqtt_prefix,
            discovery_prefix=args.mqtt_discovery or None,
            **({"name": args.mqtt_name} if args.mqtt_name is not None else {}),
        )
        names = tuple(rule.name for rule in rules)
        sinks["MQTT"] = MqttSink(settings, labels, model.arousal, names, mute)
    # The view last: an error of another sink then leaves the terminal alone.
    lines = as_json if args.json else as_text
    if args.view:
        sinks["standard output"] = TerminalSink(out, labels)
    elif args.rttm:
        sinks["standard output"] = RttmSink(out, Path(recording).stem)
    else:
        sinks["standard output"] = LinesSink(out, labels, lines, decisions=args.decisions)
    return live(sinks) if args.mic else FanOut(sinks.values())
