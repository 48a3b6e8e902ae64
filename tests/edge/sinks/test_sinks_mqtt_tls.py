"""MQTT over TLS with a real broker: a good connection, and messages about a wrong certificate or port."""

import shutil
import subprocess

import pytest
from mqtt_broker import STATE
from processes import eventually
from sink_events import segment

if not shutil.which("openssl"):
    pytest.skip("needs openssl to make certificates", allow_module_level=True)

HERE = ("-addext", "subjectAltName=IP:127.0.0.1")


@pytest.fixture
def certificate(tmp_path):
    """`certificate(name, *options)`: a self-signed one; the path without its ending."""

    def make(name: str, *more: str) -> str:
        path = tmp_path / name
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        subprocess.run(
            [*command, "-keyout", f"{path}.key", "-out", f"{path}.pem", *more], check=True, capture_output=True
        )
        return str(path)

    return make


def speaks_tls(start_broker, path: str):
    made = start_broker("allow_anonymous true", f"certfile {path}.pem", f"keyfile {path}.key")
    made.authority = f"{path}.pem"
    return made


def complaints(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if "trying again" in record.getMessage()]


def logged(caplog, part: str) -> None:
    eventually(lambda: any(part in line for line in complaints(caplog)), part)
    assert len(complaints(caplog)) == 1, "one line"
    assert "Traceback" not in caplog.text


def test_a_broker_with_the_right_certificate_is_connected_to(certificate, start_broker, connect):
    own = certificate("broker", *HERE)
    running = speaks_tls(start_broker, own)
    sink = connect(running, ca_file=f"{own}.pem")
    sink.write(1.0, segment(1.0))
    running.retains(STATE, '"start_seconds": 1.0')


def test_an_unknown_authority(certificate, start_broker, connect, caplog):
    running = speaks_tls(start_broker, certificate("broker", *HERE))
    connect(running, name="doubtful", ca_file=f"{certificate('unknown')}.pem")
    logged(caplog, "from an unknown authority")
    assert "--mqtt-ca" in caplog.text
    assert not [topic for topic in running.retained() if "doubtful" in topic]


def test_an_expired_certificate(certificate, start_broker, connect, caplog):
    own = certificate("broker", *HERE)
    again = ["openssl", "x509", "-in", f"{own}.pem", "-signkey", f"{own}.key", "-days", "-1", "-out", f"{own}.pem"]
    subprocess.run(again, check=True, capture_output=True)
    connect(speaks_tls(start_broker, own), ca_file=f"{own}.pem")
    logged(caplog, "its certificate has expired")


def test_another_name(certificate, start_broker, connect, caplog):
    own = certificate("broker", "-addext", "subjectAltName=DNS:broker.example")
    connect(speaks_tls(start_broker, own), ca_file=f"{own}.pem")
    logged(caplog, "its certificate is for another name than 127.0.0.1")


def test_tls_to_a_port_that_speaks_none(certificate, broker, connect, caplog):
    connect(broker, ca_file=f"{certificate('broker', *HERE)}.pem")
    logged(caplog, "does this port speak TLS?")


def test_no_tls_to_a_port_that_speaks_it(certificate, start_broker, connect, caplog):
    connect(speaks_tls(start_broker, certificate("broker", *HERE)))
    logged(caplog, "closes the connection without an answer; does this port speak TLS? (--mqtt-tls")


def test_a_refused_user_is_reported_as_that(tmp_path, start_broker, connect, caplog):
    nobody = tmp_path / "passwords"
    nobody.touch()
    connect(start_broker("allow_anonymous false", f"password_file {nobody}"))
    eventually(lambda: "refuses the connection" in caplog.text, "the refusal")
    assert "TLS" not in caplog.text
