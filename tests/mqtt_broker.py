"""A real MQTT broker (mosquitto) for the tests of the sink."""

import getpass
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from processes import eventually, kill

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
STATE, AUDIO, AVAILABLE, RULE, UTTERANCE, MUTE, COMMAND = (
    f"ser/kitchen/{what}" for what in ("state", "audio", "availability", "rule", "utterance", "mute", "mute/set")
)
DISCOVERY = "homeassistant/device/ser_kitchen/config"


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
        eventually(self._listens, "the broker listens", self._process)
        return self

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            kill(self._process)
            self._process = None

    def retained(self) -> dict[str, str]:
        """Topic -> what the broker retains; nothing from a broker that refuses us.

        A broker sends what it retains before what is published after the subscription.
        """
        import paho.mqtt.client as mqtt  # of the mqtt extra

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

    @contextmanager
    def listening(self, topic: str) -> Iterator[list[tuple[str, str]]]:
        """A client that collects topic and payload of what is published to `topic` while it is open, not what is
        retained."""
        import paho.mqtt.client as mqtt

        received: list[tuple[str, str]] = []
        subscribed = threading.Event()
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = lambda client, userdata, message: (
            message.retain or received.append((message.topic, message.payload.decode()))
        )
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        assert subscribed.wait(10), "the broker does not answer"
        try:
            yield received
        finally:
            client.disconnect()
            client.loop_stop()

    def publish(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        """As somebody else's client does; returns when the broker has it."""
        import paho.mqtt.client as mqtt

        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()

    def retains(self, topic: str, part: str) -> None:
        eventually(lambda: part in self.retained().get(topic, ""), f"{topic} holds {part}")
