"""The benchmark of the systems: whose encoder a system takes, and which systems it leaves out unless they are named."""

from benchmarks.accuracy import systems
from crnn.errors import InputError


def test_a_system_that_names_an_encoder_keeps_it(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_ENCODER", str(tmp_path))
    assert systems.settings_of("frozen-linear")[-2:] == ("--system.encoder", str(tmp_path.resolve()))
    assert "--system.encoder" not in systems.settings_of("emotion2vec-linear")
    assert "--system.encoder" not in systems.settings_of("cnn")


def test_what_needs_a_hub_runs_where_it_is_named_alone(monkeypatch):
    asked = []

    def jobs(names, *_):
        asked.append(names)
        raise InputError("asked")

    monkeypatch.setattr(systems, "jobs", jobs)
    for given in ([], ["--systems", "emotion2vec-linear"]):
        assert systems.main(given) == 2
    assert {*systems.SYSTEMS} - {*asked[0]} == {"emotion2vec-linear"}
    assert asked[1] == ["emotion2vec-linear"]
