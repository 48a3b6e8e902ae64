"""Options that would do nothing beside the others are refused before a model is opened, and nothing is written."""

import pytest
from helpers import called, one_clear_line

import quantize
import stream_infer
from edge.enroll.__main__ import main as enroll


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--device", "usb"], "--device: does nothing without --mic"),
        (["--channel", "2"], "--channel: does nothing without --mic"),
        (["--rate", "48000", "--channels", "2"], "--rate, --channels: does nothing without - (standard input)"),
        (["--format", "f32le"], "--format: does nothing without - (standard input)"),
        (["--log-decisions"], "--log-decisions: does nothing without --log FILE"),
        (["--keep-unsure-mb", "1"], "--keep-unsure-mb: does nothing without --keep-unsure FOLDER"),
        (["--mqtt-tls", "--mqtt-user", "ser"], "--mqtt-user, --mqtt-tls: does nothing without --mqtt HOST"),
        (["--mqtt-discovery", ""], "--mqtt-discovery: does nothing without --mqtt HOST"),
        (["--rttm", "--rules", "rules.json"], "--rttm has no line for the event of a rule; leave --rules out"),
        (["--view", "--json"], "--view takes the place of lines; leave --json out"),
    ],
)
def test_an_option_without_what_it_needs(options, says):
    one_clear_line(called(stream_infer.main, "clip.wav", *options), says)


def test_the_microphone_has_no_rate_to_choose():
    one_clear_line(called(stream_infer.main, "--mic", "--rate", "48000"), "--rate: does nothing without - (standard")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rate", "16000", "--channels=1"], "--rate, --channels: does nothing without - (standard input)"),
        (["--mqtt-pref", "ser"], "--mqtt-prefix: does nothing without --mqtt HOST"),
    ],
)
def test_a_default_that_is_given_does_nothing_either(options, says):
    one_clear_line(called(stream_infer.main, "clip.wav", *options), says)
    one_clear_line(called(stream_infer.main, "clip.wav", "--profile", "a", "--profile", "b"), "clip.wav: no such file")


def test_the_fold_of_no_protocol_is_refused():
    from edge.battery.__main__ import main as battery
    from edge.bundle import PRETRAINED
    from edge.evaluate.__main__ import main as evaluate

    for main in (evaluate, battery):
        one_clear_line(called(main, PRETRAINED, "--data", "emodb:x", "--fold", "0"), "--fold: does nothing")


def test_recordings_are_not_asked_for(tmp_path):
    """`--keep-audio` would store nothing, and `--emotions` ask for nothing."""
    given = ("--out", tmp_path / "me.json", "--files", "neutral=clip.wav", "--keep-audio", tmp_path / "stored")
    one_clear_line(
        called(enroll, *given, "--emotions"), "--emotions, --keep-audio: does nothing without the microphone"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fold", "1"], "--fold: does nothing without --large ENCODER"),
        (["--protocol", "all-six-corpora", "--fold", "0"], "--protocol, --fold: does nothing without --large ENCODER"),
        (["--fine-tune-epochs", "8"], "--fine-tune-epochs: does nothing without --prune or a target"),
        (["--fine-tune-epochs", "3", "--plot", "a.svg"], "--plot, --fine-tune-epochs: does nothing without --prune"),
        (["--without-labels", "emodb"], "--without-labels: does nothing without --large ENCODER"),
        (["--plot", "steps.svg"], "--plot: does nothing without --prune or a target"),
    ],
)
def test_what_belongs_to_another_kind_of_bundle(options, says, tmp_path):
    one_clear_line(called(quantize.main, tmp_path, "--out", tmp_path / "bundle", *options), says)


@pytest.mark.parametrize("threads", ["0", "257", "99999999999"])
def test_a_number_of_threads_that_no_processor_has(threads, tmp_path):
    (tmp_path / "clip.wav").write_bytes(b"")
    refused = called(stream_infer.main, tmp_path / "clip.wav", "--threads", threads)
    one_clear_line(refused, f"threads is {threads}", "at most 256")
