"""Publishes results to an MQTT broker, for home automation, and lets it mute the microphone.

Topics, retained: PREFIX/NAME/state (the last segment), PREFIX/NAME/audio (the last audio event and the counters),
PREFIX/NAME/mute (whether the microphone is closed), PREFIX/NAME/availability (online or offline; the last will sets
offline if the device dies). Not retained: PREFIX/NAME/utterance (each segment with an emotion), PREFIX/NAME/rule (each
rule that fires). Commands are received on PREFIX/NAME/mute/set. Decisions are not sent.
"""

import logging
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from crnn.cli.installed import install
from crnn.errors import InputError
from edge.audio.events import AudioEvent, AudioEventKind
from edge.loop.counters import Tally
from edge.loop.events import Event, RuleEvent
from edge.sinks.home_assistant import MIGRATE, OFF, ON, Announced, discovery_message, old_topics
from edge.sinks.lines import as_dated_json
from edge.sinks.mqtt_mute import MuteCommands
from edge.sinks.mqtt_outbox import Message, Outbox
from edge.sinks.mqtt_settings import MqttSettings
from edge.sinks.mqtt_tls import connection_error, tls_context
from edge.stream.results import Segment

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

PORT, TLS_PORT = 1883, 8883
KEEPALIVE_SECONDS = 30
"""The broker reports a silent device as offline after one and a half of these"""
CLOSE_SECONDS = 2.0
"""s that the broker gets to accept the last messages when the program ends"""
ONLINE, OFFLINE = "online", "offline"
MUTE_STATES = {AudioEventKind.MUTED: ON, AudioEventKind.OPENED: OFF, AudioEventKind.NOT_FOUND: OFF}
"""What an event of the audio says about the mute: reported once the device is closed, not when that is asked for"""


class MqttSink:
    """Publishes in the background; an unreachable or slow broker never delays the loop.

    What waits for the broker is bounded (`edge.sinks.mqtt_outbox`), and one message is sent at a time. All retained
    messages are sent again on every connection, because a broker may have lost them. What was replaced or dropped is
    counted and logged on the next connection. paho-mqtt waits 1 s to 60 s between attempts.

    Args:
        labels: emotions that the model knows.
        arousal: whether it estimates the arousal.
        rules: names of the rules that may fire.
        mute: called from another thread with whether the microphone shall be muted; None: there is none.

    Raises InputError if paho-mqtt is not installed or a file named in the settings cannot be used. An unreachable
    broker is no error.
    """

    def __init__(
        self,
        settings: MqttSettings,
        labels: tuple[str, ...],
        arousal: bool = False,
        rules: tuple[str, ...] = (),
        mute: Callable[[bool], None] | None = None,
    ) -> None:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise InputError(f"MQTT needs paho-mqtt 2: {install('mqtt')}") from error

        s = self._settings = settings
        topics = self._topics = s.topics()
        self._labels, self._tally = labels, Tally()
        self._greeting = {topics["availability"]: ONLINE}
        self._old_topics: tuple[str, ...] = ()
        if s.discovery_prefix is not None:
            has = Announced(arousal, mute is not None, rules)
            self._discovery = discovery_message(s.name, labels, topics, s.discovery_prefix, has)
            self._greeting |= dict([self._discovery])
            self._old_topics = old_topics(s.name, s.discovery_prefix)
        self.outbox = Outbox()
        """What waits for the broker"""
        self._sent: Message | None = None  # given to the library, not yet acknowledged
        self._changed = threading.Condition()
        self._connected = self._closing = self._answered = False
        self._complaint = ""
        self._migrated = False  # on this connection

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
        client.on_message, client.on_subscribe = self._on_message, self._on_subscribe
        port = s.port or (TLS_PORT if tls else PORT)
        self._broker = f"MQTT broker {s.host}:{port}"
        self._commands = None if mute is None else MuteCommands(mute, self._broker)
        client.connect_async(s.host, port, KEEPALIVE_SECONDS)
        client.loop_start()

    def write(self, seconds: float, event: Event) -> None:
        """Never waits for the broker."""
        self._tally.update(seconds, event)
        if isinstance(event, Segment):
            self._put("state", as_dated_json(seconds, event, self._labels))
            if event.emotion is not None:
                self._happen("utterance", as_dated_json(seconds, event, self._labels, event_type=event.emotion))
        elif isinstance(event, AudioEvent):
            counters = {
                "problem": self._tally.problem,
                "overruns": self._tally.overruns,
                "reconnects": self._tally.reconnects,
                "missing_seconds": round(self._tally.seconds_missing, 4),
            }
            self._put("audio", as_dated_json(seconds, event, self._labels, **counters))
            if self._commands and event.kind in MUTE_STATES:
                self._put("mute", MUTE_STATES[event.kind])
        elif isinstance(event, RuleEvent):
            self._happen("rule", as_dated_json(seconds, event, self._labels, event_type=event.rule))

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

    def _put(self, what: str, payload: str) -> None:
        with self._changed:
            self.outbox.put_state(self._topics[what], payload)
        self._send_next()

    def _happen(self, what: str, payload: str) -> None:
        with self._changed:
            self.outbox.put_event(self._topics[what], payload)
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
        self._migrated = False
        # Before anything is published, so that what the broker retains arrives before what we send.
        topics = [*self._old_topics, *((self._topics["command"], self._topics["mute"]) if self._commands else ())]
        if topics:
            client.subscribe([(topic, 1) for topic in topics])
        with self._changed:
            self._connected, self._complaint = True, ""
            # The library itself sends its unfinished message again, before these; an event it has forgotten.
            self._sent = self._sent if self._sent and self._sent.retain else None
            lost = self.outbox.open(self._greeting)
        log.info("%s: connected%s", self._broker, f"; {lost}" if lost else "")
        self._send_next()

    def _on_subscribe(
        self,
        client: "Client",
        userdata: object,
        mid: int,
        reason_codes: "list[ReasonCode]",
        properties: "Properties | None",
    ) -> None:
        refused = [code for code in reason_codes[len(self._old_topics) :] if code.is_failure]
        if refused:
            self._complain(f"refuses to pass commands ({refused[0]}); the mute switch has no effect")

    def _on_message(self, client: "Client", userdata: object, message: "MQTTMessage") -> None:
        if message.topic in self._old_topics:
            if message.retain and message.payload:
                self._migrate()
        elif self._commands and message.topic == self._topics["command"]:
            self._commands.command(message.payload, message.retain)
        elif self._commands and message.retain:
            self._commands.state(message.payload)

    def _migrate(self) -> None:
        """An earlier version announced its entities one by one: the device message takes them over, and their own
        messages go, so that none of them stays without a device."""
        if self._migrated:
            return
        self._migrated = True
        steps = [(topic, MIGRATE) for topic in self._old_topics]
        steps += [self._discovery, *((topic, "") for topic in self._old_topics)]
        with self._changed:
            self.outbox.put_steps(steps)
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
