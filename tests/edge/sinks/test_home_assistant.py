"""Home Assistant's discovery, with a real broker: what is announced, and what its templates read."""

import json
from dataclasses import replace

import pytest
from mqtt_broker import AUDIO, AVAILABLE, STATE
from processes import eventually
from sink_events import LABELS, audio, segment

from edge.audio.events import AudioEventKind
from edge.stream.results import Verdict


def test_home_assistant_discovers_the_device(broker, connect):
    sink = connect(broker)
    sink.write(1.0, segment())
    broker.retains(STATE, "happy")
    retained = broker.retained()
    configs = {topic: json.loads(text) for topic, text in retained.items() if topic.startswith("homeassistant/")}
    assert sorted(configs) == [
        "homeassistant/binary_sensor/ser_kitchen/problem/config",
        "homeassistant/sensor/ser_kitchen/confidence/config",
        "homeassistant/sensor/ser_kitchen/emotion/config",
    ]
    assert len({config["unique_id"] for config in configs.values()}) == 3
    for config in configs.values():
        assert config["availability_topic"] == AVAILABLE
        assert config["state_topic"] in (STATE, AUDIO)
        assert config["device"]["identifiers"] == ["ser_kitchen"]
    emotion = configs["homeassistant/sensor/ser_kitchen/emotion/config"]
    assert emotion["device_class"] == "enum"
    assert set(emotion["options"]) == {*LABELS, *(verdict.value for verdict in Verdict)}


def test_the_templates_of_home_assistant_read_what_is_sent(broker, connect):
    jinja2 = pytest.importorskip("jinja2", reason="needs jinja2 to render templates as Home Assistant does")
    sink = connect(broker)
    sink.write(0.0, audio(AudioEventKind.ZEROS))

    def shown() -> dict[str, str]:
        retained = broker.retained()
        configs = {
            topic.split("/")[3]: json.loads(text) for topic, text in retained.items() if topic.endswith("/config")
        }
        return {
            name: jinja2.Template(config["value_template"]).render(
                value_json=json.loads(retained[config["state_topic"]])
            )
            for name, config in configs.items()
        } | {
            "attributes": jinja2.Template(configs["emotion"]["json_attributes_template"]).render(
                value_json=json.loads(retained[STATE])
            )
        }

    sink.write(1.0, segment())
    broker.retains(STATE, "happy")
    seen = shown()
    assert json.loads(seen.pop("attributes")) == {"neutral": 0.1, "happy": 0.7, "sad": 0.2}
    assert seen == {"emotion": "happy", "confidence": "70.0", "problem": "ON"}
    sink.write(2.0, segment(emotion=None))
    sink.write(2.0, audio(AudioEventKind.RECOVERED))
    broker.retains(AUDIO, "recovered")
    broker.retains(STATE, "uncertain")
    seen = shown()
    assert (seen["emotion"], seen["problem"]) == ("uncertain", "OFF")


def test_arousal_is_an_entity_of_a_model_that_estimates_it(broker, connect):
    jinja2 = pytest.importorskip("jinja2", reason="needs jinja2 to render templates as Home Assistant does")
    sink = connect(broker, arousal=True)
    sink.write(1.0, replace(segment(), arousal=0.625))
    broker.retains(STATE, "happy")
    retained = broker.retained()
    config = json.loads(retained["homeassistant/sensor/ser_kitchen/arousal/config"])
    assert (config["state_topic"], config["unique_id"]) == (STATE, "ser_kitchen_arousal")
    template = jinja2.Template(config["value_template"])
    assert template.render(value_json=json.loads(retained[STATE])) == "62.5"
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
