"""The model that ships and a service of it."""

import pytest
import soundfile

from edge.bundle import PRETRAINED

CLIP = PRETRAINED.parent / "synthetic_voice.flac"


@pytest.fixture(scope="session")
def shipped():
    from edge.loop.recognition import open_model

    return open_model(vad="energy")


@pytest.fixture
def start(shipped, tmp_path):
    """`start(**limits)`: a service that is ended after the test."""
    from live_service import Service

    services = []

    def begin(**settings):
        services.append(Service(shipped, tmp_path / f"uploads{len(services)}", **settings))
        return services[-1]

    yield begin
    for service in services:
        service.stop()


@pytest.fixture(scope="module")
def service(shipped, tmp_path_factory):
    from live_service import Service

    made = Service(shipped, tmp_path_factory.mktemp("service") / "uploads")
    yield made
    made.stop()
    assert [*made.folder.iterdir()] == []


@pytest.fixture(scope="session")
def clip():
    return CLIP


@pytest.fixture(scope="session")
def pcm(clip) -> bytes:
    """The clip as 16 kHz mono int16."""
    samples, rate = soundfile.read(clip, dtype="int16")
    assert rate == 16000
    return samples.astype("<i2").tobytes()


@pytest.fixture
def told(capfd):
    """`told(file, *options)`: what stream_infer.py --json says of it."""
    import json

    import stream_infer

    def run(file, *options: str) -> list[dict]:
        capfd.readouterr()
        assert stream_infer.main([str(file), "--json", "--vad", "energy", *options]) == 0
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return run
