"""Faulty settings of an MQTT broker, without a broker."""

import pytest

from crnn.errors import InputError
from edge.sinks.mqtt import MqttSink
from edge.sinks.mqtt_settings import PASSWORD_VARIABLE, MqttSettings, parse_broker


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"host": ""}, "empty"),
        ({"host": "a..b"}, "a\\.\\.b"),
        ({"port": 70000}, "70000"),
        ({"name": "living room"}, "living room"),
        ({"prefix": "a/#"}, "a/#"),
        ({"prefix": "/a"}, "/a"),
        ({"discovery_prefix": ""}, "''"),
        ({"password_file": "secret"}, "user"),
    ],
)
def test_invalid_settings_are_named(settings, part):
    with pytest.raises(InputError, match=part):
        MqttSettings(**({"host": "localhost"} | settings))


@pytest.mark.parametrize(("content", "part"), [(None, "No such file"), (b"", "first line"), (b"\xff", "UTF-8")])
def test_a_password_file_that_cannot_be_used_is_named(tmp_path, content, part):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=part) as error:
        MqttSettings("localhost", user="ser", password_file=path).password()
    assert str(path) in str(error.value)


def test_a_certificate_authority_that_cannot_be_used_is_named(tmp_path):
    pytest.importorskip("paho.mqtt.client", reason="needs the mqtt extra: make test EXTRAS=mqtt")
    path = tmp_path / "ca.pem"
    for content in (None, "no certificate"):
        if content is not None:
            path.write_text(content)
        with pytest.raises(InputError, match="ca.pem"):
            MqttSink(MqttSettings("localhost", ca_file=path), ("happy", "sad"))


def test_broker_addresses():
    assert parse_broker("broker.local") == ("broker.local", None)
    assert parse_broker("192.168.1.4:1884") == ("192.168.1.4", 1884)
    assert parse_broker("[fe80::1]:1884") == ("fe80::1", 1884)
    for bad in ("", ":1883", "host:port", "host:99999", "mqtt://host", "host/topic", "host:", "[::1]:"):
        with pytest.raises(InputError, match="HOST:PORT"):
            parse_broker(bad)
    with pytest.raises(InputError, match=PASSWORD_VARIABLE) as error:
        parse_broker("user:secret@host")
    assert "secret" not in str(error.value)
