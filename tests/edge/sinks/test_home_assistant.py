"""Home Assistant's discovery, with a real broker: what is announced, what its templates read, what is removed."""

import json
import os
import subprocess
from dataclasses import replace

import pytest
from helpers import ROOT
from mqtt_broker import AUDIO, AVAILABLE, COMMAND, DISCOVERY, MUTE, RULE, STATE, UTTERANCE
from processes import eventually
from sink_events import LABELS, audio, rule, segment

from crnn.cli.installed import installed_version
from edge.audio.events import AudioEventKind
from edge.sinks import home_assistant
from edge.sinks.home_assistant import Announced, discovery_message
from edge.sinks.mqtt_settings import MqttSettings
from edge.stream.results import Verdict

OLD = [
    f"homeassistant/{path}/config"
    for path in (
        "sensor/ser_kitchen/emotion",
        "sensor/ser_kitchen/confidence",
        "sensor/ser_kitchen/arousal",
        "binary_sensor/ser_kitchen/problem",
    )
]
"""As the version before announced its entities"""


def announced(broker) -> dict:
    broker.retains(DISCOVERY, "{")
    return json.loads(broker.retained()[DISCOVERY])


def test_the_page_that_the_package_names_is_that_for_support(broker, connect, monkeypatch):
    monkeypatch.setattr(home_assistant, "home_page", lambda: "https://example.org/ser")
    connect(broker)
    assert announced(broker)["origin"]["support_url"] == "https://example.org/ser"


def test_one_message_announces_the_device_and_all_that_it_has(broker, connect):
    connect(broker, arousal=True, rules=("shouting",), mute=print)
    message = announced(broker)
    assert [topic for topic in broker.retained() if topic.startswith("homeassistant/")] == [DISCOVERY]
    assert message["device"]["identifiers"] == ["ser_kitchen"]
    assert message["device"]["sw_version"] == message["origin"]["sw_version"] == installed_version()
    assert "support_url" not in message["origin"], "setup.py names no page"
    assert message["availability_topic"] == AVAILABLE
    components = message["components"]
    assert {name: entity["platform"] for name, entity in components.items()} == {
        "emotion": "sensor", "confidence": "sensor", "arousal": "sensor", "problem": "binary_sensor",
        "overruns": "sensor", "reconnections": "sensor", "utterance": "event", "rule": "event", "mute": "switch",
    }  # fmt: skip
    assert {entity["unique_id"] for entity in components.values()} == {f"ser_kitchen_{name}" for name in components}
    assert {name: entity["state_topic"] for name, entity in components.items()} == {
        "emotion": STATE, "confidence": STATE, "arousal": STATE, "problem": AUDIO, "overruns": AUDIO,
        "reconnections": AUDIO, "utterance": UTTERANCE, "rule": RULE, "mute": MUTE,
    }  # fmt: skip
    assert components["mute"]["command_topic"] == COMMAND
    assert components["utterance"]["event_types"] == list(LABELS)
    assert components["rule"]["event_types"] == ["shouting"]
    assert set(components["emotion"]["options"]) == {*LABELS, *(verdict.value for verdict in Verdict)}
    for name in ("emotion", "confidence", "arousal"):
        assert components[name]["expire_after"] > 60, "what somebody said is not what is now"
    diagnostic = {name for name, entity in components.items() if entity.get("entity_category") == "diagnostic"}
    assert diagnostic == {"problem", "overruns", "reconnections"}


def test_what_there_is_not_is_removed_where_an_earlier_run_had_it(broker, connect):
    """By a component with its platform alone."""
    connect(broker)
    components = announced(broker)["components"]
    bare = {name: entity for name, entity in components.items() if "unique_id" not in entity}
    assert bare == {"arousal": {"platform": "sensor"}, "rule": {"platform": "event"}, "mute": {"platform": "switch"}}


def test_entities_of_the_version_before_go_over_to_the_device(broker, connect):
    for topic in OLD[:2] + OLD[3:]:  # that model did not estimate the arousal
        broker.publish(topic, '{"name": "Emotion"}', retain=True)
    with broker.listening("homeassistant/#") as received:
        connect(broker)
        eventually(lambda: sum(payload == "" for _, payload in received) == len(OLD), "all are emptied")
    leave = [(topic, '{"migrate_discovery": true}') for topic in OLD]
    device = [topic for topic, _ in received].index(DISCOVERY)
    assert received[:device] == leave, "they are prepared first"
    assert received[device + 1 :] == [(topic, "") for topic in OLD], "and removed last"
    assert [topic for topic in broker.retained() if topic.startswith("homeassistant/")] == [DISCOVERY]


def test_nothing_is_sent_to_old_topics_that_are_empty(broker, connect):
    with broker.listening("homeassistant/#") as received:
        sink = connect(broker)
        sink.write(1.0, segment())
        broker.retains(STATE, "happy")
        eventually(lambda: received, "the device is announced")
    assert [topic for topic, _ in received] == [DISCOVERY]


def test_the_templates_of_home_assistant_read_what_is_sent(broker, connect):
    jinja2 = pytest.importorskip("jinja2", reason="needs jinja2 to render templates as Home Assistant does")
    sink = connect(broker, mute=print)
    sink.write(0.0, audio(AudioEventKind.ZEROS))

    def shown() -> dict[str, str]:
        retained = broker.retained()
        entities = {
            name: entity for name, entity in announced(broker)["components"].items() if "value_template" in entity
        }
        return {
            name: jinja2.Template(entity["value_template"]).render(
                value_json=json.loads(retained[entity["state_topic"]])
            )
            for name, entity in entities.items()
        } | {
            "attributes": jinja2.Template(entities["emotion"]["json_attributes_template"]).render(
                value_json=json.loads(retained[STATE])
            )
        }

    sink.write(1.0, segment())
    sink.write(1.0, audio(AudioEventKind.OVERRUN))
    broker.retains(AUDIO, "overrun")
    broker.retains(STATE, "happy")
    seen = shown()
    assert json.loads(seen.pop("attributes")) == {"neutral": 0.1, "happy": 0.7, "sad": 0.2}
    assert seen == {
        "emotion": "happy", "confidence": "70.0", "problem": "ON", "overruns": "1", "reconnections": "0",
    }  # fmt: skip
    sink.write(2.0, segment(emotion=None))
    for kind in (AudioEventKind.OPENED, AudioEventKind.LOST, AudioEventKind.OPENED):
        sink.write(2.0, audio(kind))
    broker.retains(AUDIO, '"reconnects": 1')
    broker.retains(STATE, "uncertain")
    seen = shown()
    assert (seen["emotion"], seen["problem"], seen["reconnections"]) == ("uncertain", "OFF", "1")


def test_arousal_is_an_entity_of_a_model_that_estimates_it(broker, connect):
    jinja2 = pytest.importorskip("jinja2", reason="needs jinja2 to render templates as Home Assistant does")
    sink = connect(broker, arousal=True)
    sink.write(1.0, replace(segment(), arousal=0.625))
    broker.retains(STATE, "happy")
    template = jinja2.Template(announced(broker)["components"]["arousal"]["value_template"])
    assert template.render(value_json=json.loads(broker.retained()[STATE])) == "62.5"
    sink.write(2.0, segment(emotion=None))
    broker.retains(STATE, "uncertain")
    values = json.loads(broker.retained()[STATE])
    assert "arousal" not in values
    assert template.render(value_json=values) == "None", "unknown, not zero"


def test_discovery_can_be_left_out(broker, connect):
    connect(broker, discovery_prefix=None, prefix="home/upstairs")
    eventually(
        lambda: broker.retained() == {"home/upstairs/kitchen/availability": "online"}, "only the device's own topic"
    )


def test_rules_that_fire_have_a_type_that_was_announced(broker, connect):
    sink = connect(broker, rules=("shouting", "low mood"))
    types = announced(broker)["components"]["rule"]["event_types"]
    with broker.listening(RULE) as received:
        sink.write(1.0, rule("low mood"))
        eventually(lambda: received, "it arrives")
    assert json.loads(received[0][1])["event_type"] in types


@pytest.mark.parametrize("has", [Announced(), Announced(arousal=True, mute=True, rules=("shouting", "low mood"))])
def test_home_assistant_itself_accepts_the_message(has):
    python = os.environ.get("SER_HOME_ASSISTANT")
    if not python:
        pytest.skip("needs SER_HOME_ASSISTANT: the Python of an installed Home Assistant Core")
    topic, message = discovery_message("kitchen", LABELS, MqttSettings("h", name="kitchen").topics(), has=has)
    assert topic == DISCOVERY
    script = ROOT / "benchmarks" / "device" / "home_assistant.py"
    result = subprocess.run([python, script], input=message, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
    version, *lines = result.stdout.splitlines()
    assert lines and all(line.split(maxsplit=1)[1] == "accepted" for line in lines), f"{version}: {lines}"
