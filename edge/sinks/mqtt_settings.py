"""Settings of an MQTT broker."""

import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from crnn.errors import InputError, require
from crnn.files.secret import read_secret
from edge.sinks.home_assistant import DISCOVERY_PREFIX

PASSWORD_VARIABLE = "SER_MQTT_PASSWORD"  # noqa: S105 - the name of the variable, not the password


@dataclass(frozen=True)
class MqttSettings:
    """A broker, and the names to use there. The password is read from a file or from SER_MQTT_PASSWORD."""

    host: str
    """Name or address of the broker"""
    port: int | None = None
    """None: 1883, or 8883 with TLS"""
    user: str | None = None
    """None: the broker needs no user name"""
    password_file: Path | None = None
    """Its first line is the password"""
    tls: bool = False
    """Encrypt, and check the broker's certificate against the system's authorities"""
    ca_file: Path | None = None
    """Certificate authority (PEM) of a private broker; implies TLS"""
    name: str = field(default_factory=lambda: re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname()) or "device")
    """Of this device, in topics, client id and Home Assistant; unique at the broker"""
    prefix: str = "ser"
    """First levels of the topics"""
    discovery_prefix: str | None = DISCOVERY_PREFIX
    """Where Home Assistant looks for devices; None: no discovery"""

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
        """What is published ("state", "utterance" ...; "mute" is its state), and "command", to mute -> topic."""
        base = f"{self.prefix}/{self.name}"
        own = ("state", "utterance", "rule", "audio", "availability", "mute")
        return {what: f"{base}/{what}" for what in own} | {"command": f"{base}/mute/set"}

    def password(self) -> str | None:
        """The password from the file or the environment. Raises InputError, without any of the content."""
        if self.user is None:
            return None
        if self.password_file is None:
            return os.environ.get(PASSWORD_VARIABLE)
        return read_secret(self.password_file, "MQTT password")


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
        f"{complaint}; give the user with its own option, and the password in a file or {PASSWORD_VARIABLE}",
    )
    require(bool(host) and parts.netloc == text and not text.endswith(":"), complaint)
    return str(host), port
