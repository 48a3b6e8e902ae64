"""JSON requests and live sessions of the page under a client that is no browser: see test_page_attacks.py."""

import json

import numpy as np
import pytest
import soundfile
from helpers import needs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_attack import MODEL, RATE, harmless
from page_server import CLIP

from edge.feedback.store import CORRECTED

needs("gradio", reason="needs the ui extra")
pytestmark = pytest.mark.usefixtures("unharmed")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("/etc/passwd"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
orders = (
    st.dictionaries(st.sampled_from(["bundle", "rate", "emotion", "speaker", "delete"]), json_values)
    | json_values
    | st.fixed_dictionaries({"bundle": st.just(MODEL), "rate": json_values})
    | st.fixed_dictionaries({"emotion": st.just("sad"), "speaker": json_values})
)


@given(orders, st.sampled_from(["/live", "/recordings/NAME", "/live/KEY", "/clip?models=0"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_refused_in_one_line(client, store, order, place):
    if isinstance(order, dict) and order.get("delete") is True:
        return  # that is a proper order
    answer = client.ask("POST", place.replace("NAME", store.scan()[0][0].name), json.dumps(order).encode())
    harmless(answer)
    assert answer.code in (400, 422)
    assert "\n" not in answer.error


@pytest.mark.parametrize(
    "body",
    [b"[" * 4000, b'{"a":' * 800, b'{"rate": ' + b"9" * 4000 + b', "bundle": "shipped: int8"}', b"\xff\xfe", b"1e999",
     b'{"rate": NaN, "bundle": "shipped: int8"}', b'{"rate": Infinity, "bundle": "shipped: int8"}', b'"\\ud800"',
     b'{"rate": 16000, "bundle": ["shipped: int8"]}', b'{"rate": -16000, "bundle": "shipped: int8"}'],
    ids=lambda body: body[:20].decode("latin-1"),
)  # fmt: skip
def test_bombs_of_json_are_refused_in_one_line(client, store, body):
    for place in ("/live", f"/recordings/{store.scan()[0][0].name}"):
        answer = client.ask("POST", place, body)
        harmless(answer)
        assert answer.code == 400
        assert "\n" not in answer.error


def opened(client) -> str:
    return json.loads(client.ask("POST", "/live", json.dumps({"bundle": MODEL, "rate": RATE}).encode()).text)["id"]


def test_a_bad_block_does_not_end_a_live_session(client):
    """It is refused, and does not change the results of what follows."""
    voice = soundfile.read(CLIP, dtype="float32")[0]
    blocks = [voice[at : at + RATE].astype("<f4").tobytes() for at in range(0, len(voice), RATE)]
    nan = np.full(RATE, np.nan, "<f4").tobytes()
    bad = [b"123", nan, np.full(9, np.inf, "<f4").tobytes(), bytes(4 * RATE * 7), b'{"path": "/etc/passwd"}']

    def history(spoiled: bool) -> list[list[str]]:
        key, lines = opened(client), []
        for number, block in enumerate(blocks):
            if spoiled:
                refused = client.ask("POST", f"/live/{key}", bad[number % len(bad)])
                assert refused.code == 400
                assert "\n" not in refused.error
                for seconds in ("nan", "-1", "1e999", "soon", "[]"):
                    assert client.ask("POST", f"/live/{key}", b"", X_Missing_Seconds=seconds).code == 400
            answer = client.ask("POST", f"/live/{key}", block)
            assert answer.code == 200
            lines += json.loads(answer.text)["csv"]
        ended = client.ask("POST", f"/live/{key}/end", b"")
        assert client.ask("POST", f"/live/{key}", blocks[0]).error.startswith("this session")
        return [line.split(",")[1:] for line in lines + json.loads(ended.text)["csv"]]

    assert history(spoiled=True) == history(spoiled=False) != []


def test_samples_beyond_full_scale_do_not_poison_a_session(client):
    key = opened(client)
    loud = np.tile(np.array([3e38, -3e38], "<f4"), RATE // 2).tobytes()
    for _ in range(3):
        assert client.ask("POST", f"/live/{key}", loud).code == 200
    assert client.ask("POST", f"/live/{key}", bytes(4 * RATE)).code == 200
    ended = client.ask("POST", f"/live/{key}/end", b"")
    assert ended.code == 200
    assert "nan" not in ended.text.lower()


def test_a_session_cannot_be_used_by_others(client):
    key = opened(client)
    for guess in ("x", key[:-1], key + "x", key.swapcase(), "..", "%2e%2e", f"{key}%00", "a" * 150, f"{key}/../{key}"):
        for end in ("", "/end"):
            assert client.ask("POST", f"/live/{guess}{end}", b"").code in (400, 404)
    assert client.ask("POST", f"/live/{key}/end", b"").code == 200


def test_only_listed_recordings_can_be_reached(client, store, home):
    name = store.scan()[0][0].name
    assert client.ask("GET", f"/recordings/{name}").code == 200
    other = name[:-1] + ("0" if name[-1] != "0" else "1")
    link, pipe = store.path / f"{other}.wav", store.path / f"{name[:-2]}zz.wav"
    link.symlink_to(home / "private.wav")
    away = store.path / CORRECTED
    away.symlink_to(home)
    try:
        for wanted in (
            other,
            f"{name}.wav",
            f"{name}.json",
            "..%2Fdiary.txt",
            "corrected",
            ".lock",
            "",
            "%2e%2e",
            pipe.stem,
        ):
            for answer in (
                client.ask("GET", f"/recordings/{wanted}"),
                client.ask("POST", f"/recordings/{wanted}", b'{"emotion": "sad", "speaker": "me"}'),
                client.ask("POST", f"/recordings/{wanted}", b'{"delete": true}'),
            ):
                harmless(answer)
                assert answer.code in (307, 400, 404), wanted
        assert link.is_symlink()
    finally:
        link.unlink()
        away.unlink()
