"""The service's command line: bad values, the token, and what is left when it ends."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest
from helpers import ROOT, called, needs, one_clear_line

needs("fastapi", "websockets", "prometheus_client", reason="needs the serve extra")

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def refused(monkeypatch):
    """`refused(*arguments)`: what the command says, in this process; its handlers of signals are taken back."""
    from edge.serve import __main__ as service

    monkeypatch.delenv("SER_SERVE_TOKEN", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield lambda *arguments: called(service.main, *arguments)
    signal.signal(signal.SIGTERM, before)


def test_the_command_line_names_what_is_wrong(refused, tmp_path):
    one_clear_line(refused(tmp_path), str(tmp_path), "not a bundle")
    one_clear_line(refused("--runtime", "openvino"), "openvino")
    one_clear_line(refused("--threads", "0"), "--threads 0")
    one_clear_line(refused("--max-mb", "0"), "max_megabytes", " 0")
    one_clear_line(refused("--max-seconds", "nan"), "max_seconds", "nan")
    one_clear_line(refused("--max-streams", "0"), "max_streams")
    one_clear_line(refused("--host", "192.0.2.1", "--token-file", token(tmp_path)), "192.0.2.1", "--host")


def token(folder, text: str = TOKEN) -> str:
    path = folder / "token"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_further_than_this_machine_a_token_is_needed(refused, tmp_path):
    for host in ("0.0.0.0", "::", "pi.local"):
        one_clear_line(refused("--host", host), host, "--token-file", "SER_SERVE_TOKEN")
    for text in ("short", "\n", "\u00e4" * 40):
        result = refused("--host", "0.0.0.0", "--token-file", token(tmp_path, text))
        one_clear_line(result, str(tmp_path), "token")
        assert "\u00e4" not in result.stderr and "short" not in result.stderr.split("must")[0]
    one_clear_line(refused("--token-file", tmp_path / "none"), "none", "token")


def test_a_missing_package_is_named(refused, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "websockets" else find(name))
    one_clear_line(refused(), "websockets", "pip install", "serve")


def test_it_serves_others_with_a_token_and_leaves_nothing(tmp_path):
    """The token is on no command line; torch is not needed."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "torch.py").write_text("raise ImportError('torch is not here')\n")
    (tmp_path / "temp").mkdir()
    environment = os.environ | {"SER_SERVE_TOKEN": TOKEN, "TMPDIR": str(tmp_path / "temp")}
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.serve", "--port", "0", "--host", "0.0.0.0", "--vad", "energy"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": f"{blocked}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    url = process.stdout.readline().strip()
    assert url.startswith("http://0.0.0.0:"), process.stderr.read()
    (folder,) = (tmp_path / "temp").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    request = urllib.request.Request(url.replace("0.0.0.0", "127.0.0.1") + "/openapi.json")
    request.add_header("Authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert "/recognize" in json.load(answer)["paths"]
    process.terminate()
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode in (0, -signal.SIGTERM)
    assert [*(tmp_path / "temp").iterdir()] == []
