"""A real broker, and sinks that write to it."""

import shutil

import pytest
from mqtt_broker import MOSQUITTO, Broker
from sink_events import LABELS

from edge.sinks.mqtt import MqttSink
from edge.sinks.mqtt_settings import MqttSettings


@pytest.fixture
def start_broker(tmp_path):
    pytest.importorskip("paho.mqtt.client", reason="needs the mqtt extra: make test EXTRAS=mqtt")
    if not MOSQUITTO or not shutil.which("mosquitto_passwd"):
        pytest.skip("needs mosquitto (see .ci/run)")
    brokers = []

    def start(*settings: str) -> Broker:
        broker = Broker(tmp_path, *(settings or ("allow_anonymous true",)))
        brokers.append(broker)
        return broker.start()

    yield start
    for broker in brokers:
        broker.stop()


@pytest.fixture
def broker(start_broker):
    return start_broker()


@pytest.fixture
def connect():
    """Makes sinks, and closes them at the end of the test."""
    sinks = []

    def open_sink(broker: Broker, arousal: bool = False, rules=(), mute=None, **settings) -> MqttSink:
        values = {"host": "127.0.0.1", "port": broker.port, "name": "kitchen"} | settings
        sinks.append(MqttSink(MqttSettings(**values), LABELS, arousal, rules, mute))
        return sinks[-1]

    yield open_sink
    for sink in sinks:
        sink.close()
