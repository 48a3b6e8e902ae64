"""MQTT with a real broker (mosquitto): retained messages, the last will, an unreachable broker."""

import getpass
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from sink_events import LABELS, audio, decision, environment, eventually, program, segment

from edge.audio.events import AudioEventKind
from edge.sinks.lines import from_dict
from edge.sinks.mqtt import MqttSink
from edge.sinks.mqtt_settings import PASSWORD_VARIABLE, MqttSettings
from edge.stream.results import Verdict

mqtt = pytest.importorskip("paho.mqtt.client", reason="needs the mqtt extra: make test EXTRAS=mqtt")
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
if not MOSQUITTO or not shutil.which("mosquitto_passwd"):
    pytest.skip("needs mosquitto (see .ci/run)", allow_module_level=True)

STATE, AUDIO, AVAILABLE = "ser/kitchen/state", "ser/kitchen/audio", "ser/kitchen/availability"


class Broker:
    """A mosquitto on a free port of 127.0.0.1, without persistence."""

    def __init__(self, folder, *settings: str) -> None:
        with socket.socket() as client:
            client.bind(("127.0.0.1", 0))
            self.port = client.getsockname()[1]
        self.account: tuple[str, str] | None = None
        """User and password"""
        self.authority: str | None = None
        """File of the certificate authority, if the broker speaks TLS"""
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", f"user {getpass.getuser()}", "persistence false", *settings]
        self._config.write_text("\n".join(lines) + "\n")
        self._process = None

    def start(self) -> "Broker":
        self._process = subprocess.Popen([MOSQUITTO, "-c", self._config], stderr=subprocess.DEVNULL)
        eventually(self._listens, "the broker listens")
        return self

    def _listens(self) -> bool:
        assert self._process.poll() is None, "the broker has ended"
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def retained(self) -> dict[str, str]:
        """Topic -> what the broker retains; nothing from a broker that refuses us.

        A broker sends what it retains before what is published after the subscription.
        """
        found: dict[str, str] = {}
        end, ended = f"end/{os.getpid()}", threading.Event()
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        if self.account:
            client.username_pw_set(*self.account)
        if self.authority:
            client.tls_set(self.authority)

        def connected(client, userdata, flags, code, properties) -> None:
            ended.set() if code.is_failure else client.subscribe("#")

        def received(client, userdata, message) -> None:
            if message.topic == end:
                ended.set()
            elif message.retain:
                found[message.topic] = message.payload.decode()

        client.on_connect, client.on_message = connected, received
        client.on_subscribe = lambda client, *_: client.publish(end)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        assert ended.wait(10), "the broker does not answer"
        client.disconnect()
        client.loop_stop()
        return found

    def keeps(self, topic: str, part: str) -> None:
        eventually(lambda: part in self.retained().get(topic, ""), f"{topic} holds {part}")


@pytest.fixture
def start_broker(tmp_path):
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

    def open_sink(broker: Broker, **settings) -> MqttSink:
        values = {"host": "127.0.0.1", "port": broker.port, "name": "kitchen"} | settings
        sinks.append(MqttSink(MqttSettings(**values), LABELS))
        return sinks[-1]

    yield open_sink
    for sink in sinks:
        sink.close()


def test_the_broker_retains_the_last_segment_and_the_state_of_the_audio(broker, connect):
    sink = connect(broker)
    sink.write(0.0, audio(AudioEventKind.OPENED))
    for number in range(20):
        sink.write(float(number), decision())
        sink.write(float(number), segment(float(number)))
    sink.write(21.0, audio(AudioEventKind.LOST, "unplugged", 2.5))
    broker.keeps(AUDIO, "lost")
    broker.keeps(STATE, '"start_seconds": 19.0')
    retained = broker.retained()
    assert retained[AVAILABLE] == "online"
    assert from_dict(json.loads(retained[STATE])) == (19.0, segment(19.0))
    health = json.loads(retained[AUDIO])
    assert (health["problem"], health["message"], health["missing_seconds"]) == (True, "unplugged", 2.5)
    assert {topic for topic in retained if topic.startswith("ser/")} == {STATE, AUDIO, AVAILABLE}


def test_a_closed_sink_is_offline(broker, connect):
    sink = connect(broker)
    broker.keeps(AVAILABLE, "online")
    sink.write(1.0, segment(7.0))
    sink.close()
    retained = broker.retained()
    assert retained[AVAILABLE] == "offline"
    assert '"start_seconds": 7.0' in retained[STATE], "what was left is sent first"


def test_the_last_will_reports_a_device_that_dies(broker):
    code = f"""
    from edge.sinks.mqtt import MqttSettings, MqttSink
    sink = MqttSink(MqttSettings("127.0.0.1", {broker.port}, name="kitchen"), LABELS)
    sink.write(1.0, segment())
    time.sleep(600)
    """
    process = subprocess.Popen(program(code), env=environment())
    try:
        broker.keeps(STATE, "happy")
        assert broker.retained()[AVAILABLE] == "online"
    finally:
        process.kill()
        process.wait()
    broker.keeps(AVAILABLE, "offline")


def test_home_assistant_discovers_the_device(broker, connect):
    sink = connect(broker)
    sink.write(1.0, segment())
    broker.keeps(STATE, "happy")
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
    broker.keeps(STATE, "happy")
    seen = shown()
    assert json.loads(seen.pop("attributes")) == {"neutral": 0.1, "happy": 0.7, "sad": 0.2}
    assert seen == {"emotion": "happy", "confidence": "70.0", "problem": "ON"}
    sink.write(2.0, segment(emotion=None))
    sink.write(2.0, audio(AudioEventKind.RECOVERED))
    broker.keeps(AUDIO, "recovered")
    broker.keeps(STATE, "uncertain")
    seen = shown()
    assert (seen["emotion"], seen["problem"]) == ("uncertain", "OFF")


def test_discovery_can_be_left_out(broker, connect):
    connect(broker, discovery_prefix=None, prefix="home/upstairs")
    eventually(
        lambda: broker.retained() == {"home/upstairs/kitchen/availability": "online"}, "only the device's own topic"
    )


def test_a_broker_that_restarts_receives_the_current_state(broker, connect, caplog):
    caplog.set_level(logging.INFO)
    sink = connect(broker)
    sink.write(0.0, audio(AudioEventKind.OPENED))
    sink.write(0.0, segment(0.0))
    broker.keeps(STATE, "happy")
    broker.stop()
    eventually(lambda: "connection lost" in caplog.text, "the loss is noticed")
    for number in range(1, 1001):
        sink.write(float(number), segment(float(number)))
        sink.write(float(number), decision())
        assert len(sink._pending) <= 2
    assert sink.replaced >= 999
    broker.start()
    broker.keeps(STATE, '"start_seconds": 1000.0')
    retained = broker.retained()
    assert retained[AVAILABLE] == "online"
    assert "opened" in retained[AUDIO], "a broker without its messages receives them again"
    assert len([topic for topic in retained if topic.endswith("/config")]) == 3
    assert caplog.text.count("connection lost") == 1
    assert "messages replaced by newer ones" in caplog.text


def test_the_broker_restarts_again_and_again_while_events_flow(broker, connect):
    sink = connect(broker)
    broker.keeps(AVAILABLE, "online")
    at = 0
    for _ in range(3):
        for _ in range(200):
            at += 1
            sink.write(float(at), segment(float(at)))
            if at % 100 == 50:
                broker.stop()
                broker.start()
            time.sleep(0.001)
    broker.keeps(STATE, f'"start_seconds": {at}.0')


def test_a_stalled_broker_costs_neither_time_nor_memory(broker, connect):
    sink = connect(broker)
    broker.keeps(AVAILABLE, "online")
    broker.signal(signal.SIGSTOP)
    for number in range(5000):
        sink.write(float(number), segment(float(number)))
        assert len(sink._pending) <= 2
    assert len(sink._client._out_messages) <= 1
    assert sink.replaced >= 4990
    broker.signal(signal.SIGCONT)
    broker.keeps(STATE, '"start_seconds": 4999.0')


def test_an_unreachable_broker_is_no_error_and_reported_once(start_broker, connect, caplog):
    caplog.set_level(logging.DEBUG)
    broker = start_broker()
    broker.stop()
    sink = connect(broker)
    sink.write(1.0, segment(5.0))
    eventually(lambda: caplog.text.count("Connection failed, retrying") >= 2, "it is tried more than once")
    assert caplog.text.count("cannot be reached") == 1
    broker.start()
    broker.keeps(STATE, '"start_seconds": 5.0')


def test_a_refusal_is_reported_although_the_broker_was_unreachable_before(tmp_path, start_broker, connect, caplog):
    broker = with_password(tmp_path, start_broker)
    broker.stop()
    connect(broker)
    eventually(lambda: "cannot be reached" in caplog.text, "the broker is away")
    broker.start()
    eventually(lambda: "refuses the connection" in caplog.text, "the refusal is reported")


def with_password(tmp_path, start_broker) -> Broker:
    accounts = tmp_path / "accounts"
    subprocess.run(["mosquitto_passwd", "-b", "-c", accounts, "ser", "correct horse"], check=True)
    broker = start_broker("allow_anonymous false", f"password_file {accounts}")
    broker.account = ("ser", "correct horse")
    return broker


def test_the_password_comes_from_a_file_or_the_environment_and_is_never_shown(
    tmp_path, start_broker, connect, caplog, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    broker = with_password(tmp_path, start_broker)
    secret = tmp_path / "secret"
    secret.write_text("wrong horse\n")
    secret.chmod(0o600)
    refused = connect(broker, user="ser", password_file=secret)
    eventually(lambda: "refuses the connection" in caplog.text, "the refusal is reported")
    refused.close()
    assert broker.retained() == {}

    secret.write_text("correct horse\n")
    sink = connect(broker, user="ser", password_file=secret)
    sink.write(1.0, segment(1.0))
    broker.keeps(STATE, '"start_seconds": 1.0')
    sink.close()
    assert "others can read" not in caplog.text
    secret.chmod(0o644)
    monkeypatch.setenv(PASSWORD_VARIABLE, "correct horse")
    for number, file in enumerate([secret, None], 2):
        sink = connect(broker, user="ser", password_file=file)
        sink.write(1.0, segment(float(number)))
        broker.keeps(STATE, f'"start_seconds": {number}.0')
        sink.close()
    assert "others can read this password" in caplog.text
    assert "horse" not in caplog.text + repr(MqttSettings("h", user="ser", password_file=secret))


def test_closing_does_not_wait_for_a_broker_that_does_not_answer(broker, connect):
    sink = connect(broker)
    broker.keeps(AVAILABLE, "online")
    broker.signal(signal.SIGSTOP)
    sink.write(1.0, segment())
    sink.close()
    never = connect(broker)
    never.write(1.0, segment())
    never.close()
