"""MQTT discovery messages, from which Home Assistant configures the device by itself.

One retained message per entity, a form that every version reads. To remove a device, publish an empty retained message
to each of its config topics.
"""

import json

from edge.stream.results import Verdict

DISCOVERY_PREFIX = "homeassistant"
"""Home Assistant's own default"""


def discovery_messages(
    device: str,
    labels: tuple[str, ...],
    topics: dict[str, str],
    prefix: str = DISCOVERY_PREFIX,
    arousal: bool = False,
) -> dict[str, str]:
    """Config topic -> payload for the entities emotion, confidence, arousal and audio problem.

    Args:
        device: its identifier: letters, digits, - and _.
        labels: emotions that the model knows.
        topics: of "state" (segments as JSON), "audio" (audio events as JSON with `problem`) and "availability".
        prefix: of the discovery topics.
        arousal: whether the model estimates it; without, there is no such entity.
    """
    shared: dict[str, object] = {
        "availability_topic": topics["availability"],
        "device": {
            "identifiers": [f"ser_{device}"],
            "name": device,
            "manufacturer": "crnn-ser",
            "model": "speech emotion recognition",
        },
        "origin": {"name": "crnn-ser"},
        "qos": 1,
    }
    entities: dict[str, dict[str, object]] = {
        "sensor/emotion": {
            "name": "Emotion",
            "icon": "mdi:account-voice",
            "state_topic": topics["state"],
            "device_class": "enum",
            "options": [*labels, *(verdict.value for verdict in Verdict)],
            "value_template": "{{ value_json.emotion or value_json.verdict }}",
            "json_attributes_topic": topics["state"],
            "json_attributes_template": "{{ value_json.probs | tojson }}",
        },
        "sensor/confidence": {
            "name": "Confidence",
            "icon": "mdi:percent",
            "state_topic": topics["state"],
            "state_class": "measurement",
            "unit_of_measurement": "%",
            "value_template": "{{ (value_json.confidence * 100) | round(1) }}",
        },
        "binary_sensor/problem": {
            "name": "Audio",
            "state_topic": topics["audio"],
            "device_class": "problem",
            "entity_category": "diagnostic",
            "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
            "json_attributes_topic": topics["audio"],
        },
    }
    if arousal:
        entities["sensor/arousal"] = {
            "name": "Arousal",
            "icon": "mdi:pulse",
            "state_topic": topics["state"],
            "state_class": "measurement",
            "unit_of_measurement": "%",
            # None, which Home Assistant shows as unknown, for a segment without an answer.
            "value_template": "{{ (value_json.arousal * 100) | round(1) if value_json.arousal is defined else none }}",
        }
    messages = {}
    for path, entity in entities.items():
        component, name = path.split("/")
        unique = f"ser_{device}_{name}"
        messages[f"{prefix}/{component}/ser_{device}/{name}/config"] = json.dumps(
            entity | {"unique_id": unique} | shared
        )
    return messages
