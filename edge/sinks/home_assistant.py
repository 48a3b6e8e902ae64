"""The MQTT discovery message, from which Home Assistant configures the device and all of its entities by itself.

One retained message for the whole device: Home Assistant 2024.11 or newer reads it. Versions of this project before 0.3
sent one message per entity (`old_topics`). To remove the device, publish an empty retained message to its topic.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crnn.cli.installed import DISTRIBUTION, home_page, installed_version
from edge.stream.results import Verdict

DISCOVERY_PREFIX = "homeassistant"
"""Home Assistant's own default"""
EXPIRE_SECONDS = 600
"""s after which the last utterance says nothing about now: its entities become unavailable"""
ON, OFF = "ON", "OFF"
"""Payloads of the mute switch, its state and its command: ON is muted"""
MIGRATE = json.dumps({"migrate_discovery": True})
"""To an old topic: the entity goes over to the device message, with its history and what a person set for it"""
OLD = ("sensor/{}/emotion", "sensor/{}/confidence", "sensor/{}/arousal", "binary_sensor/{}/problem")


@dataclass(frozen=True)
class Announced:
    """What a device has besides emotion, confidence and diagnostics."""

    arousal: bool = False
    """The model estimates it"""
    mute: bool = False
    """There is a microphone to mute"""
    rules: tuple[str, ...] = ()
    """Names of the rules"""


def discovery_message(
    device: str,
    labels: Sequence[str],
    topics: Mapping[str, str],
    prefix: str = DISCOVERY_PREFIX,
    has: Announced | None = None,
) -> tuple[str, str]:
    """Topic and payload of the discovery message.

    Args:
        device: its identifier: letters, digits, - and _.
        labels: emotions that the model knows.
        topics: of MqttSettings.topics.
        prefix: of the discovery topic.
    """
    has = has or Announced()
    components = _sensors(labels, topics) | _diagnostics(topics) | _events(labels, topics, has.rules)
    components["mute"] = {
        "platform": "switch",
        "name": "Mute",
        "icon": "mdi:microphone-off",
        "command_topic": topics["command"],
        "state_topic": topics["mute"],
        "payload_on": ON,
        "payload_off": OFF,
    }
    absent = {"arousal": not has.arousal, "mute": not has.mute, "rule": not has.rules}
    for name, entity in components.items():
        if absent.get(name):  # a component with its platform alone is removed, if an earlier run announced it
            components[name] = {"platform": entity["platform"]}
        else:
            entity["unique_id"] = f"ser_{device}_{name}"
    version, page = installed_version(), home_page()
    message = {
        "device": {
            "identifiers": [f"ser_{device}"],
            "name": device,
            "manufacturer": DISTRIBUTION,
            "model": "speech emotion recognition",
            "sw_version": version,
        },
        "origin": {"name": DISTRIBUTION, "sw_version": version, **({"support_url": page} if page else {})},
        "components": components,
        "availability_topic": topics["availability"],
        "qos": 1,
    }
    return f"{prefix}/device/ser_{device}/config", json.dumps(message)


def old_topics(device: str, prefix: str = DISCOVERY_PREFIX) -> tuple[str, ...]:
    """Discovery topics of the versions before 0.3: one per entity."""
    return tuple(f"{prefix}/{path.format(f'ser_{device}')}/config" for path in OLD)


def _sensors(labels: Sequence[str], topics: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Of the last utterance."""
    shared: dict[str, object] = {"platform": "sensor", "state_topic": topics["state"], "expire_after": EXPIRE_SECONDS}
    percent: dict[str, object] = {"state_class": "measurement", "unit_of_measurement": "%"}
    return {
        "emotion": shared
        | {
            "name": "Emotion",
            "icon": "mdi:account-voice",
            "device_class": "enum",
            "options": [*labels, *(verdict.value for verdict in Verdict)],
            "value_template": "{{ value_json.emotion or value_json.verdict }}",
            "json_attributes_topic": topics["state"],
            "json_attributes_template": "{{ value_json.probs | tojson }}",
        },
        "confidence": shared
        | percent
        | {
            "name": "Confidence",
            "icon": "mdi:percent",
            "value_template": "{{ (value_json.confidence * 100) | round(1) }}",
        },
        "arousal": shared
        | percent
        | {
            "name": "Arousal",
            "icon": "mdi:pulse",
            # None, which Home Assistant shows as unknown, for a segment without an answer.
            "value_template": "{{ (value_json.arousal * 100) | round(1) if value_json.arousal is defined else none }}",
        },
    }


def _diagnostics(topics: Mapping[str, str]) -> dict[str, dict[str, object]]:
    shared: dict[str, object] = {"entity_category": "diagnostic", "state_topic": topics["audio"]}
    counter: dict[str, object] = {"platform": "sensor", "state_class": "total_increasing"}
    return {
        "problem": shared
        | {
            "platform": "binary_sensor",
            "name": "Audio",
            "device_class": "problem",
            "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
            "json_attributes_topic": topics["audio"],
        },
        "overruns": shared
        | counter
        | {"name": "Overruns", "icon": "mdi:speedometer-slow", "value_template": "{{ value_json.overruns }}"},
        "reconnections": shared
        | counter
        | {"name": "Reconnections", "icon": "mdi:connection", "value_template": "{{ value_json.reconnects }}"},
    }


def _events(labels: Sequence[str], topics: Mapping[str, str], rules: Sequence[str]) -> dict[str, dict[str, object]]:
    """Their payloads have `event_type`."""
    return {
        "utterance": {
            "platform": "event",
            "name": "Utterance",
            "icon": "mdi:account-voice",
            "state_topic": topics["utterance"],
            "event_types": list(labels),
        },
        "rule": {
            "platform": "event",
            "name": "Rule",
            "icon": "mdi:bell-ring",
            "state_topic": topics["rule"],
            "event_types": list(rules),
        },
    }
