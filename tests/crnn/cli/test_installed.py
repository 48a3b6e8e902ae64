"""What programs and extras are called, in a checkout and where the package is installed."""

import sys

import pytest

from crnn.cli import installed
from crnn.cli.installed import Parser, home_page, install, program, renamed

TEXT = "a bundle of quantize.py; pipe it: python stream_infer.py - --rate HZ, or see python -m edge.doctor --json"


@pytest.fixture
def package(monkeypatch, tmp_path):
    """As if the code lay in site-packages."""
    monkeypatch.setattr(installed, "ROOT", tmp_path)


def test_a_checkout_runs_scripts(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stream_infer.py"])
    assert program("stream_infer") == "python stream_infer.py"
    assert install("mic,view") == "pip install -e '.[mic,view]'"
    assert renamed(TEXT) == TEXT


def test_a_command_of_an_editable_install_names_commands(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/some/bin/ser-stream"])
    assert program("edge.page") == "ser-page"
    assert install("mic") == "pip install -e '.[mic]'"


@pytest.mark.usefixtures("package")
def test_an_installed_package_names_commands():
    assert install("mic,view") == "pip install 'crnn-ser[mic,view]'"
    assert renamed(TEXT) == "a bundle of ser-quantize; pipe it: ser-stream - --rate HZ, or see ser-doctor --json"


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("text", ["train.py: no such file", "/home/me/train.py is a file", "my-train.py", "train.pyc"])
def test_names_of_other_files_are_not_changed(text):
    assert renamed(text) == text


def test_an_empty_value_is_refused_unless_it_means_something(capsys):
    """`--mqtt "$BROKER"` without that variable was a loop that published nothing, without a word."""
    parser = Parser("edge.doctor", "Looks.")
    parser.add_argument("bundle", nargs="?")
    parser.add_argument("--mqtt")
    parser.add_argument("--mqtt-discovery", default="homeassistant")
    parser.may_be_empty.add("mqtt_discovery")
    found = parser.parse_args(["--mqtt-discovery", ""])
    assert found.mqtt_discovery == "" and "mqtt_discovery" in found.given and "mqtt" not in found.given
    for arguments, named in ((["--mqtt", ""], "mqtt is empty"), ([""], "bundle is empty")):
        with pytest.raises(SystemExit) as ended:
            parser.parse_args(arguments)
        assert ended.value.code == 2 and named in capsys.readouterr().err


def test_the_home_page_is_that_of_the_metadata(monkeypatch):
    from email.message import Message

    made = Message()
    monkeypatch.setattr("importlib.metadata.metadata", lambda name: made)
    assert home_page() is None
    made["Project-URL"] = "RAVDESS, https://zenodo.org/records/1188976"
    assert home_page() is None
    made["Project-URL"] = "Homepage, https://example.org/ser"
    assert home_page() == "https://example.org/ser"
