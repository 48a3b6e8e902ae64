"""Publishes the last segment, the state of the audio and the rules that fire to an MQTT broker, for home automation.

Topics, retained: PREFIX/NAME/state (the last segment), PREFIX/NAME/audio (the last audio event and the counters),
PREFIX/NAME/availability (online or offline; the last will sets offline if the device dies). Not retained:
PREFIX/NAME/rule (each rule that fires). Decisions are not sent.
"""

import logging
import sys
import threading
from typing import TYPE_CHECKING

from crnn.cli.installed import install
from crnn.errors import InputError
from edge.audio.events import AudioEvent
from edge.loop.counters import Tally
from edge.loop.events import Event, RuleEvent
from edge.sinks.home_assistant import discovery_messages
from edge.sinks.lines import as_dated_json
from edge.sinks.mqtt_outbox import Message, Outbox
from edge.sinks.mqtt_settings import MqttSettings
from edge.sinks.mqtt_tls import connection_error, tls_context
from edge.stream.results import Segment

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

PORT, TLS_PORT = 1883, 8883
KEEPALIVE_SECONDS = 30
"""The broker reports a silent device as offline after one and a half of these"""
CLOSE_SECONDS = 2.0
"""s that the broker gets to accept the last messages when the program ends"""
ONLINE, OFFLINE = "online", "offline"


class MqttSink:
    """Publishes in the background; an unreachable or slow broker never delays the loop.

    What waits for the broker is bounded (`edge.sinks.mqtt_outbox`), and one message is sent at a time. All retained
    messages are sent again on every connection, because a broker may have lost them. What was replaced or dropped is
    counted and logged on the next connection. paho-mqtt waits 1 s to 60 s between attempts.

    Args:
        labels: emotions that the model knows.
        arousal: whether it estimates the arousal.

    Raises InputError if paho-mqtt is not installed or a file named in the settings cannot be used. An unreachable
    broker is no error.
    """

    def __init__(self, settings: MqttSettings, labels: tuple[str, ...], arousal: bool = False) -> None:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise InputError(f"MQTT needs paho-mqtt 2: {install('mqtt')}") from error

        s = self._settings = settings
        topics = self._topics = s.topics()
        self._labels, self._tally = labels, Tally()
        self._greeting = {topics["availability"]: ONLINE}
        if s.discovery_prefix is not None:
            self._greeting |= discovery_messages(s.name, labels, topics, s.discovery_prefix, arousal)
        self.outbox = Outbox()
        """What waits for the broker"""
        self._sent: Message | None = None  # given to the library, not yet acknowledged
        self._changed = threading.Condition()
        self._connected = self._closing = self._answered = False
        self._complaint = ""

        client = self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"ser_{s.name}")
        client.enable_logger(log.getChild("paho"))
        client.suppress_exceptions = True  # the library logs them; otherwise they end its thread silently
        if s.user is not None:
            client.username_pw_set(s.user, s.password())
        tls = self._tls = s.tls or s.ca_file is not None
        if tls:
            client.tls_set_context(tls_context(s.ca_file))
        client.will_set(topics["availability"], OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(1, 60)
        client.on_connect, client.on_connect_fail = self._on_connect, self._on_connect_fail
        client.on_disconnect, client.on_publish = self._on_disconnect, self._on_publish
        port = s.port or (TLS_PORT if tls else PORT)
        self._broker = f"MQTT broker {s.host}:{port}"
        client.connect_async(s.host, port, KEEPALIVE_SECONDS)
        client.loop_start()

    def write(self, seconds: float, event: Event) -> None:
        """Never waits for the broker."""
        self._tally.update(seconds, event)
        if isinstance(event, Segment):
            self._put(self._topics["state"], as_dated_json(seconds, event, self._labels))
        elif isinstance(event, AudioEvent):
            counters = {
                "problem": self._tally.problem,
                "overruns": self._tally.overruns,
                "reconnects": self._tally.reconnects,
                "missing_seconds": round(self._tally.seconds_missing, 4),
            }
            self._put(self._topics["audio"], as_dated_json(seconds, event, self._labels, **counters))
        elif isinstance(event, RuleEvent):
            with self._changed:
                self.outbox.put_event(self._topics["rule"], as_dated_json(seconds, event, self._labels))
            self._send_next()

    def close(self) -> None:
        """Send what is left and "offline" within 2 s, then disconnect."""
        with self._changed:
            self._closing = True
            self.outbox.put_state(self._topics["availability"], OFFLINE)
        self._send_next()
        with self._changed:
            self._changed.wait_for(
                lambda: not self._connected or not (self.outbox.waiting or self._sent), timeout=CLOSE_SECONDS
            )
            connected = self._connected
        self._client.disconnect()
        with self._changed:
            gone = self._changed.wait_for(lambda: not self._connected, timeout=CLOSE_SECONDS)
        if connected and gone:
            self._client.loop_stop()  # only if it returns at once: the thread may be inside a slow name lookup

    def _put(self, topic: str, payload: str) -> None:
        with self._changed:
            self.outbox.put_state(topic, payload)
        self._send_next()

    def _send_next(self) -> None:
        """Give the library one message, unless it has one. Publishes without our lock: callbacks hold the library's."""
        with self._changed:
            if not self._connected or self._sent or not self.outbox.waiting:
                self._changed.notify_all()
                return
            message = self._sent = self.outbox.take()
        # The library sends again, on the next connection, what is not acknowledged: states, not events.
        self._client.publish(message.topic, message.payload, qos=1 if message.retain else 0, retain=message.retain)

    def _on_publish(
        self, client: "Client", userdata: object, mid: int, reason_code: "ReasonCode", properties: "Properties"
    ) -> None:
        with self._changed:
            self._sent = None
        self._send_next()

    def _on_connect(
        self,
        client: "Client",
        userdata: object,
        flags: "ConnectFlags",
        reason_code: "ReasonCode",
        properties: "Properties | None",
    ) -> None:
        self._answered = True
        if reason_code.is_failure:
            self._complain(f"refuses the connection ({reason_code})")
            return
        if self._closing:  # close() was called while the library was connecting
            client.disconnect()
            return
        with self._changed:
            self._connected, self._complaint = True, ""
            # The library itself sends its unfinished message again, before these; an event it has forgotten.
            self._sent = self._sent if self._sent and self._sent.retain else None
            lost = self.outbox.open(self._greeting)
        log.info("%s: connected%s", self._broker, f"; {lost}" if lost else "")
        self._send_next()

    def _on_connect_fail(self, client: "Client", userdata: object) -> None:
        # The library calls this while it handles the exception, and does not pass it.
        self._complain(connection_error(sys.exception(), self._settings.host))

    def _on_disconnect(
        self,
        client: "Client",
        userdata: object,
        flags: "DisconnectFlags",
        reason_code: "ReasonCode",
        properties: "Properties | None",
    ) -> None:
        with self._changed:
            was_connected, self._connected = self._connected, False
            self.outbox.shut()
            self._changed.notify_all()
        answered, self._answered = self._answered, False
        if not answered and not self._closing and not self._tls:  # a TLS port closes other connections
            self._complain(
                "closes the connection without an answer; does this port speak TLS? (--mqtt-tls, --mqtt-ca; port 8883)"
            )
        if was_connected and not self._closing:
            self._complain(
                f"connection lost (if again and again: another client calls itself ser_{self._settings.name})"
            )

    def _complain(self, what: str) -> None:
        """Log a problem once, until the connection works again or fails in another way."""
        if what != self._complaint:
            self._complaint = what
            log.warning("%s: %s; trying again in the background", self._broker, what)
