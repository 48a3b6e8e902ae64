"""MQTT with a real broker (mosquitto): retained messages, the last will, an unreachable broker."""

import json
import logging
import signal
import subprocess
import time

from mqtt_broker import AUDIO, AVAILABLE, DISCOVERY, RULE, STATE, UTTERANCE, Broker
from processes import eventually
from sink_events import audio, decision, environment, program, rule, segment

from edge.audio.events import AudioEventKind
from edge.sinks.lines import from_dict
from edge.sinks.mqtt_outbox import MOST_EVENTS, Outbox
from edge.sinks.mqtt_settings import PASSWORD_VARIABLE, MqttSettings


def test_the_broker_retains_the_last_segment_and_the_state_of_the_audio(broker, connect):
    sink = connect(broker)
    sink.write(0.0, audio(AudioEventKind.OPENED))
    for number in range(20):
        sink.write(float(number), decision())
        sink.write(float(number), segment(float(number)))
    sink.write(21.0, audio(AudioEventKind.LOST, "unplugged", 2.5))
    broker.retains(AUDIO, "lost")
    broker.retains(STATE, '"start_seconds": 19.0')
    retained = broker.retained()
    assert retained[AVAILABLE] == "online"
    assert from_dict(json.loads(retained[STATE])) == (19.0, segment(19.0))
    health = json.loads(retained[AUDIO])
    assert (health["problem"], health["message"], health["missing_seconds"]) == (True, "unplugged", 2.5)
    assert {topic for topic in retained if topic.startswith("ser/")} == {STATE, AUDIO, AVAILABLE}


def test_a_rule_that_fires_is_sent_once_and_not_retained(broker, connect):
    sink = connect(broker)
    broker.retains(AVAILABLE, "online")
    with broker.listening(RULE) as received:
        for name in ("shouting", "low mood"):
            sink.write(1.0, rule(name))
        eventually(lambda: len(received) == 2, "both arrive")
    fired = [json.loads(payload) for _, payload in received]
    assert [from_dict(values) for values in fired] == [(1.0, rule("shouting")), (1.0, rule("low mood"))]
    assert [values["event_type"] for values in fired] == ["shouting", "low mood"]
    assert RULE not in broker.retained()


def test_every_utterance_with_an_emotion_is_an_event(broker, connect):
    sink = connect(broker)
    broker.retains(AVAILABLE, "online")
    with broker.listening(UTTERANCE) as received:
        for at, emotion in enumerate(["happy", None, "happy", "sad"]):
            sink.write(float(at), segment(float(at), emotion))
        eventually(lambda: len(received) == 3, "all of them arrive")
    happened = [json.loads(payload) for _, payload in received]
    assert [(values["start_seconds"], values["event_type"]) for values in happened] == [
        (0.0, "happy"), (2.0, "happy"), (3.0, "sad"),
    ]  # fmt: skip
    assert UTTERANCE not in broker.retained()


def test_a_rule_that_fires_without_a_broker_is_not_sent_later(broker, connect, caplog):
    caplog.set_level(logging.INFO)
    sink = connect(broker)
    broker.retains(AVAILABLE, "online")
    broker.stop()
    eventually(lambda: "connection lost" in caplog.text, "the loss is noticed")
    sink.write(1.0, rule("too late"))
    broker.start()
    with broker.listening(RULE) as received:
        eventually(lambda: "1 events not sent" in caplog.text, "it is reported")
        sink.write(2.0, rule("in time"))
        eventually(lambda: received, "events are sent again")
    assert [json.loads(payload)["rule"] for _, payload in received] == ["in time"]


def test_of_many_events_a_slow_broker_gets_the_newest():
    outbox = Outbox()
    outbox.open({})
    outbox.put_state("state", "old")
    for number in range(MOST_EVENTS + 5):
        outbox.put_event("rule", str(number))
    outbox.put_state("state", "new")
    sent = [outbox.take() for _ in range(outbox.waiting)]
    assert [m.payload for m in sent if m.retain] == ["new"]
    assert [m.payload for m in sent if not m.retain] == [str(n) for n in range(5, MOST_EVENTS + 5)]
    assert (outbox.replaced, outbox.dropped) == (1, 5)


def test_steps_are_sent_in_order_and_end_with_the_connection():
    outbox = Outbox()
    outbox.open({"device": "config"})
    steps = [("old", "leave"), ("device", "config"), ("old", "")]
    outbox.put_steps(steps)
    outbox.put_event("rule", "fired")
    sent = [outbox.take() for _ in range(2)]
    assert [(m.topic, m.payload) for m in sent] == steps[:2], "the greeting's own message does not come first"
    outbox.shut()
    assert (outbox.waiting, outbox.dropped) == (0, 1)
    assert outbox.open({"device": "config"}) == "1 events not sent"
    assert outbox.waiting == 1


def test_a_closed_sink_is_offline(broker, connect):
    sink = connect(broker)
    broker.retains(AVAILABLE, "online")
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
        broker.retains(STATE, "happy")
        assert broker.retained()[AVAILABLE] == "online"
    finally:
        process.kill()
        process.wait()
    broker.retains(AVAILABLE, "offline")


def test_a_broker_that_restarts_receives_the_current_state(broker, connect, caplog):
    caplog.set_level(logging.INFO)
    sink = connect(broker)
    sink.write(0.0, audio(AudioEventKind.OPENED))
    sink.write(0.0, segment(0.0))
    broker.retains(STATE, "happy")
    broker.stop()
    eventually(lambda: "connection lost" in caplog.text, "the loss is noticed")
    for number in range(1, 1001):
        sink.write(float(number), segment(float(number)))
        sink.write(float(number), decision())
        assert sink.outbox.waiting <= 2 + MOST_EVENTS
    assert sink.outbox.replaced >= 999
    broker.start()
    broker.retains(STATE, '"start_seconds": 1000.0')
    retained = broker.retained()
    assert retained[AVAILABLE] == "online"
    assert "opened" in retained[AUDIO], "a broker without its messages receives them again"
    assert [topic for topic in retained if topic.endswith("/config")] == [DISCOVERY]
    assert caplog.text.count("connection lost") == 1
    assert "messages replaced" in caplog.text


def test_the_broker_restarts_again_and_again_while_events_flow(broker, connect):
    sink = connect(broker)
    broker.retains(AVAILABLE, "online")
    at = 0
    for _ in range(3):
        for _ in range(200):
            at += 1
            sink.write(float(at), segment(float(at)))
            if at % 100 == 50:
                broker.stop()
                broker.start()
            time.sleep(0.001)
    broker.retains(STATE, f'"start_seconds": {at}.0')


def test_a_stalled_broker_costs_neither_time_nor_memory(broker, connect):
    sink = connect(broker)
    broker.retains(AVAILABLE, "online")
    broker.signal(signal.SIGSTOP)
    for number in range(5000):
        sink.write(float(number), segment(float(number)))
        assert sink.outbox.waiting <= 2 + MOST_EVENTS
    assert len(sink._client._out_messages) <= 1
    assert sink.outbox.replaced >= 4990
    broker.signal(signal.SIGCONT)
    broker.retains(STATE, '"start_seconds": 4999.0')


def test_an_unreachable_broker_is_no_error_and_reported_once(start_broker, connect, caplog):
    caplog.set_level(logging.DEBUG)
    broker = start_broker()
    broker.stop()
    sink = connect(broker)
    sink.write(1.0, segment(5.0))
    eventually(lambda: caplog.text.count("Connection failed, retrying") >= 2, "it is tried more than once")
    assert caplog.text.count("cannot be reached") == 1
    broker.start()
    broker.retains(STATE, '"start_seconds": 5.0')


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
    broker.retains(STATE, '"start_seconds": 1.0')
    sink.close()
    assert "others can read" not in caplog.text
    secret.chmod(0o644)
    monkeypatch.setenv(PASSWORD_VARIABLE, "correct horse")
    for number, file in enumerate([secret, None], 2):
        sink = connect(broker, user="ser", password_file=file)
        sink.write(1.0, segment(float(number)))
        broker.retains(STATE, f'"start_seconds": {number}.0')
        sink.close()
    assert "others can read" in caplog.text
    assert "horse" not in caplog.text + repr(MqttSettings("h", user="ser", password_file=secret))


def test_closing_does_not_wait_for_a_broker_that_does_not_answer(broker, connect):
    sink = connect(broker)
    broker.retains(AVAILABLE, "online")
    broker.signal(signal.SIGSTOP)
    sink.write(1.0, segment())
    sink.close()
    never = connect(broker)
    never.write(1.0, segment())
    never.close()
