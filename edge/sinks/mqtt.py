"""The last segment and the state of the audio on an MQTT broker, for home automation.

Topics, all retained: PREFIX/NAME/state (the last segment), PREFIX/NAME/audio (the last audio event and the counters),
PREFIX/NAME/availability (online, offline; the broker says offline when the device dies: last will). Hop results are
not sent.
"""

import logging
import os
import re
import socket
import ssl
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.files.printable import shown
from edge.audio.events import AudioEvent
from edge.loop.counters import Tally
from edge.loop.events import Event
from edge.sinks.home_assistant import DISCOVERY_PREFIX, discovery_messages
from edge.sinks.lines import as_dated_json
from edge.stream.results import Segment

log = logging.getLogger(__name__)

PASSWORD_VARIABLE = "SER_MQTT_PASSWORD"  # noqa: S105 - where the password is, not what it is
PORT, TLS_PORT = 1883, 8883
KEEPALIVE_SECONDS = 30
"""A device without power is offline after one and a half of these"""
CLOSE_SECONDS = 2.0
"""What the broker has left to take when the program ends"""
NOT_YET_VALID, EXPIRED = 9, 10
WRONG_NAME = (62, 64)
UNKNOWN = (2, 18, 19, 20, 21)
"""What OpenSSL finds wrong with a certificate (X509_V_ERR_...); 62 and 64: host name, IP address"""
ONLINE, OFFLINE = "online", "offline"


@dataclass(frozen=True)
class MqttSettings:
    """Which broker, and under which names. The password is in a file or in SER_MQTT_PASSWORD, never in here."""

    host: str
    """Name or address of the broker"""
    port: int | None = None
    """None: 1883, or 8883 with TLS"""
    user: str | None = None
    """None: the broker asks for no name"""
    password_file: Path | None = None
    """Its first line is the password"""
    tls: bool = False
    """Encrypted, the broker's certificate checked against the system's authorities"""
    ca_file: Path | None = None
    """Certificate authority (PEM) of a private broker; implies TLS"""
    name: str = field(default_factory=lambda: re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname()) or "device")
    """Of this device: in topics, client id and Home Assistant; one broker knows a name once"""
    prefix: str = "ser"
    """First levels of the topics"""
    discovery_prefix: str | None = DISCOVERY_PREFIX
    """Where Home Assistant looks for devices; None: it is told nothing"""

    def __post_init__(self) -> None:
        try:
            self.host.encode("idna")
        except UnicodeError as error:
            raise InputError(f"MQTT host {self.host!r} is no host name") from error
        require(bool(self.host), "the MQTT host is empty; give HOST or HOST:PORT")
        require(self.port is None or 0 < self.port < 65536, f"MQTT port {self.port}; give 1 to 65535")
        require(
            bool(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name)),
            f"MQTT name {self.name!r}; give 1 to 64 letters, digits, - or _",
        )
        for prefix in (self.prefix, self.discovery_prefix):
            require(
                prefix is None or bool(re.fullmatch(r"[^#+/$\s\x00][^#+\s\x00]*(?<!/)", prefix)),
                f"MQTT prefix {prefix!r}; give a topic without +, #, spaces and a / at either end",
            )
        require(self.password_file is None or self.user is not None, "an MQTT password needs a user")

    def topics(self) -> dict[str, str]:
        """What is published -> its topic."""
        return {what: f"{self.prefix}/{self.name}/{what}" for what in ("state", "audio", "availability")}

    def password(self) -> str | None:
        """From the file, or else from the environment; raises InputError, without any of the content."""
        if self.user is None:
            return None
        if self.password_file is None:
            return os.environ.get(PASSWORD_VARIABLE)
        try:
            lines = Path(self.password_file).read_text(encoding="utf-8").splitlines()
            others_read = Path(self.password_file).stat().st_mode & 0o077
        except OSError as error:
            raise InputError(f"{self.password_file}: the MQTT password cannot be read ({error.strerror})") from error
        except UnicodeDecodeError:
            raise InputError(f"{self.password_file}: the MQTT password is no UTF-8 text") from None
        require(bool(lines and lines[0]), f"{self.password_file}: the first line must hold the MQTT password")
        if others_read and os.name == "posix":
            log.warning("%s: others can read this password; chmod 600 it", self.password_file)
        return lines[0]


def parse_broker(text: str) -> tuple[str, int | None]:
    """Host and port (None if not given) from HOST, HOST:PORT or [ADDRESS]:PORT.

    >>> parse_broker("broker.local:1884"), parse_broker("[::1]")
    (('broker.local', 1884), ('::1', None))
    """
    complaint = f"MQTT broker {text.rpartition('@')[2]!r}; give HOST or HOST:PORT"
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(complaint) from error
    require(
        "@" not in text,
        f"{complaint}; the user has an option of its own, the password a file or {PASSWORD_VARIABLE}",
    )
    require(bool(host) and parts.netloc == text, complaint)
    return str(host), port


class MqttSink:
    """Publishes in the background; a broker that is away or slow costs nothing but news.

    Per topic only the newest message is kept until the broker can take it, and one message is under way at a time: a
    state topic tells the present, and a home that hears an hour of old moods at once does the wrong things. What was
    replaced before it was sent is counted and logged on the next connection; with every connection all retained
    messages are sent again, for a broker may have forgotten them. paho-mqtt waits 1 s to 60 s between its tries.

    Args:
        labels: emotions that the model knows.

    Raises InputError if paho-mqtt is not installed or a file that the settings name cannot be used; that the broker
    is away is no error.
    """

    def __init__(self, settings: MqttSettings, labels: tuple[str, ...]) -> None:
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
            self._greeting |= discovery_messages(s.name, labels, topics, s.discovery_prefix)
        self._latest: dict[str, str] = {}
        self._pending: dict[str, str] = {}
        self._changed = threading.Condition()
        self._connected = self._under_way = self._closing = self._answered = False
        self._complaint = ""
        self.replaced = 0
        """Messages that a newer one replaced before the broker took them"""
        self._replaced_told = 0

        client = self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"ser_{s.name}")
        client.enable_logger(log.getChild("paho"))
        client.suppress_exceptions = True  # logged; one that passed would end the library's thread without a word
        if s.user is not None:
            client.username_pw_set(s.user, s.password())
        tls = self._tls = s.tls or s.ca_file is not None
        if tls:
            client.tls_set_context(_tls_context(s.ca_file))
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

    def close(self) -> None:
        """Give the broker 2 s to take what is left, say goodbye, disconnect."""
        with self._changed:
            self._closing = True
            self._pending[self._topics["availability"]] = OFFLINE
        self._send_next()
        with self._changed:
            self._changed.wait_for(
                lambda: not self._connected or not (self._pending or self._under_way), timeout=CLOSE_SECONDS
            )
            connected = self._connected
        self._client.disconnect()
        with self._changed:
            gone = self._changed.wait_for(lambda: not self._connected, timeout=CLOSE_SECONDS)
        if connected and gone:
            self._client.loop_stop()  # only where it does not wait: the thread may be inside a slow name lookup

    def _put(self, topic: str, payload: str) -> None:
        with self._changed:
            self.replaced += topic in self._pending
            self._pending[topic] = self._latest[topic] = payload
        self._send_next()

    def _send_next(self) -> None:
        """Hand the library one message, unless it has one. Not under our lock: its callbacks come under its own."""
        with self._changed:
            if not self._connected or self._under_way or not self._pending:
                self._changed.notify_all()
                return
            self._under_way = True
            topic = next(iter(self._pending))
            payload = self._pending.pop(topic)
        self._client.publish(topic, payload, qos=1, retain=True)

    def _on_publish(self, client, userdata, mid, reason_code, properties) -> None:
        with self._changed:
            self._under_way = False
        self._send_next()

    def _on_connect(self, client, userdata, flags, reason_code, properties) -> None:
        self._answered = True
        if reason_code.is_failure:
            self._complain(f"refuses the connection ({reason_code})")
            return
        if self._closing:  # close() came while the library was connecting
            client.disconnect()
            return
        with self._changed:
            self._connected, self._complaint = True, ""
            # What the library still had under way is sent again by itself, before any of this.
            self._pending = self._greeting | self._latest | self._pending
            replaced, self._replaced_told = self.replaced - self._replaced_told, self.replaced
        log.info("%s: connected%s", self._broker, f"; {replaced} messages replaced by newer ones" if replaced else "")
        self._send_next()

    def _on_connect_fail(self, client, userdata) -> None:
        # The library calls this while it handles the exception, and does not hand it on.
        self._complain(_why(sys.exception(), self._settings.host))

    def _on_disconnect(self, client, userdata, flags, reason_code, properties) -> None:
        with self._changed:
            was_connected, self._connected = self._connected, False
            self._changed.notify_all()
        answered, self._answered = self._answered, False
        if not answered and not self._closing and not self._tls:  # a TLS port hangs up on what it does not understand
            self._complain(
                "hangs up before it answers; does this port speak TLS? (--mqtt-tls, --mqtt-ca; usually port 8883)"
            )
        if was_connected and not self._closing:
            self._complain(
                f"connection lost (if again and again: another client calls itself ser_{self._settings.name})"
            )

    def _complain(self, what: str) -> None:
        """Once, until it works again or fails in another way."""
        if what != self._complaint:
            self._complaint = what
            log.warning("%s: %s; trying again in the background", self._broker, what)


def _why(error: BaseException | None, host: str) -> str:
    """What is wrong with a connection that was not made, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "refused: " + _wrong_certificate(error, host)
    # Who does not speak TLS answers with other bytes, hangs up, or waits for what he understands.
    if isinstance(error, ssl.SSLError | ConnectionResetError | BrokenPipeError):
        reason = getattr(error, "reason", None) or error
        return f"no TLS connection ({shown(reason)}); does this port speak TLS? (usually 8883; without TLS 1883)"
    if isinstance(error, TimeoutError):
        return "cannot be reached: no answer in time"
    return "cannot be reached" + (
        f" ({shown(error.strerror)})" if isinstance(error, OSError) and error.strerror else ""
    )


def _wrong_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    message = shown(error.verify_message or error.reason)
    if error.verify_code == EXPIRED:
        return "its certificate has expired; renew it at the broker, and check this machine's clock"
    if error.verify_code == NOT_YET_VALID:
        return "its certificate is not valid yet; check this machine's clock"
    if error.verify_code in WRONG_NAME:
        return f"its certificate is for another name than {shown(host)}; connect under the name it was made for"
    if error.verify_code in UNKNOWN:
        return f"its certificate is from an unknown authority ({message}); give the authority's file with --mqtt-ca"
    return f"its certificate is wrong ({message})"


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"{ca_file}: is no certificate authority that can be read ({error})") from error
