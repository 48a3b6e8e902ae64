"""No document is stale: its commands run, its options exist, its examples and links hold, and the site builds."""

import ast
import doctest
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from documents import PAGES, Command, commands, examples, inline, links, unnamed_fences
from helpers import EXAMPLES, PRUNES, ROOT, called, script

from crnn.cli.installed import PROGRAMS
from crnn.config import FeatureConfig, ModelConfig, StreamGeometry, WindowConfig
from crnn.data.protocols import corpora_of
from edge.bundle import PRETRAINED, Bundle
from edge.bundle.golden import GOLDEN

FOREIGN = {
    "arecord", "cd", "curl", "git", "hf", "journalctl", "loginctl", "pip", "ruff", "sudo", "systemctl",
    "systemd-analyze",
}  # fmt: skip
"""Programs that are not ours: their options are theirs"""
QUICKLY = {
    "train": ["--optim.epochs", "1", "--optim.epoch_clips", "32", "--augment.copies", "2", "--cache", "cache"],
    "quantize": ["--cache", "cache", "--formats", "onnx", "--max-uar-drop", "1"],
}
"""What the tests add, by module: training cut short"""
SCRIPTS = ("train.py", "quantize.py", "stream_infer.py")
ANSWERS = {"edge.doctor": (0, 1)}
"""Exit codes that are answers; 1 of the doctor: something is missing here, a microphone for instance"""

ALL = [command for page in PAGES for command in commands(page)]
SETUP = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
EXTRAS = next(
    {key.value for key in node.value.keys}
    for node in SETUP.body
    if isinstance(node, ast.Assign) and node.targets[0].id == "EXTRAS"
)
ENTRIES = {command: module for module, (_, command) in PROGRAMS.items()}
OURS = (
    *("train", "quantize", "stream_infer", "crnn.check", "crnn.conversation", "crnn.crossval", "crnn.lists"),
    *("crnn.synthetic", "edge.page", "edge.serve", "edge.doctor", "edge.enroll", "edge.evaluate", "edge.battery"),
    *("edge.bundle", "edge.embed"),
)


def program(words: tuple[str, ...]) -> tuple[str, list[str]] | None:
    """The module a command runs and its arguments; None where it is not Python's."""
    name, rest = Path(words[0]).name, list(words[1:])
    if name in ENTRIES:
        return ENTRIES[name], rest
    if name == "torchrun":
        at = next(i for i, word in enumerate(rest) if word.endswith(".py"))
        return rest[at].removesuffix(".py"), rest[at + 1 :]
    if name not in ("python", "python3"):
        return None
    if rest[0] == "-m":
        return rest[1], rest[2:]
    return rest[0].removesuffix(".py"), rest[1:]


def parser_of(module: str):
    return importlib.import_module(main_of(module)).build_parser()


def main_of(module: str) -> str:
    """What `python -m module` runs."""
    is_folder = importlib.util.find_spec(module).submodule_search_locations is not None
    return f"{module}.__main__" if is_folder else module


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A newcomer's folder: a checkout with a settings file in it."""
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in ("demo", "runs", "bundles", "build"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "my.yaml").write_text("optim:\n  epochs: 3\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def full_desk(desk, bundle_path, small_run) -> Path:
    """And with what the documents call BUNDLE, RUN and recording.wav."""
    (desk / "BUNDLE").symlink_to(bundle_path)
    (desk / "RUN").symlink_to(small_run)
    samples, rate = soundfile.read(ROOT / "edge" / "pretrained" / "synthetic_voice.flac")
    soundfile.write(desk / "recording.wav", samples, rate)
    return desk


def check_extras(text: str) -> None:
    lists = re.findall(r"(?:\[|EXTRAS=)(\w+(?:,\w+)*)", text)
    named = {extra for names in lists for extra in names.split(",")}
    assert named <= EXTRAS, f"no such extra: {', '.join(named - EXTRAS)}"


@pytest.mark.parametrize("command", ALL, ids=str)
def test_every_documented_command_exists_with_its_options(command: Command, desk):
    name = Path(command.words[0]).name
    text = " ".join(command.words)
    found = program(command.words)
    if found and found[0] in OURS:
        module, arguments = found
        if "--help" in arguments:
            return
        try:
            settings = parser_of(module).parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{command}: refused by {module}'s own parser")
        if getattr(settings, "protocol", None):
            corpora_of(settings.protocol, getattr(settings, "fold", 0))
    elif found:
        assert importlib.util.find_spec(found[0]), f"{command}: no such module"
        assert found[0] in ("venv", "pytest") or not found[1], f"{command}: add {found[0]} to OURS"
    elif name == "make":
        subprocess.run([*command.words, "--dry-run"], cwd=ROOT, check=True, capture_output=True)
        check_extras(text)
    elif name == "install.sh":
        known = re.findall(r"^\s+(--[\w-]+)\)", (ROOT / "deploy" / "install.sh").read_text(), re.MULTILINE)
        assert set(command.words[1:]) <= set(known), command
    else:
        assert name in FOREIGN, f"{command}: unknown program; fence the block with its language if it is no command"
        assert command.needs, f"{command}: cannot run everywhere; say so: <!-- needs: ... -->"
        check_extras(text)


def to_run() -> dict[str, list[Command]]:
    """Page -> its commands that need nothing; one that several pages give runs for the first of them."""
    first: dict[tuple, Command] = {}
    for command in ALL:
        if not command.needs:
            found = program(command.words)
            first.setdefault((found[0], *found[1]) if found else command.words, command)
    pages: dict[str, list[Command]] = {}
    for command in first.values():
        pages.setdefault(command.page, []).append(command)
    return pages


def of_the_example() -> dict[tuple[str, ...], str]:
    """Commands of examples/own_recordings.sh, by the names that docs/own-data.md gives -> what they make."""
    text = (EXAMPLES / "own_recordings.sh").read_text(encoding="utf-8")
    text = text.replace("$recordings", "mine").replace("$out/run", "runs/mine").replace("$out/bundle", "bundles/mine")
    lines = [re.sub(r" \$\{.*", "", line) for line in text.splitlines()]
    return {
        tuple(shlex.split(line)): made
        for script_name, made in (("train.py", "run"), ("quantize.py", "bundle"))
        for line in lines
        if line.startswith(f"python {script_name} ")
    }


@pytest.mark.parametrize("page", to_run())
def test_every_command_that_needs_nothing_runs(page, full_desk, request):
    made_by_the_example = of_the_example()
    assert len(made_by_the_example) == 2
    for command in to_run()[page]:
        if made := made_by_the_example.get(command.words):
            out = Path(command.words[-1])
            out.parent.mkdir(exist_ok=True)
            out.symlink_to(request.getfixturevalue("own_example") / "out" / made)
            continue
        found = program(command.words)
        assert found, f"{command}: cannot run here; say what it needs"
        module, arguments = found
        start = f"import sys; sys.argv[0] = {module!r}; from {main_of(module)} import main; sys.exit(main())"
        extra = [] if "--help" in arguments else QUICKLY.get(module, [])
        if module == "quantize":
            extra = [*extra, "--fine-tune-epochs", "0"] if PRUNES & {*arguments} else extra
            result = called(importlib.import_module(module).main, *arguments, *extra)
        elif f"{module}.py" in SCRIPTS:
            result = script(f"{module}.py", *arguments, *extra, cwd=full_desk)
        else:
            result = subprocess.run(
                [sys.executable, "-c", start, *arguments], capture_output=True, text=True, timeout=600, check=False
            )
        assert result.returncode in ANSWERS.get(module, (0,)), (str(command), result.stderr[-2000:])
        assert "Traceback" not in result.stderr, command
        assert result.stdout or result.stderr, f"{command}: says nothing"


def test_what_the_makefile_demonstrates_has_valid_options(desk):
    recipe = subprocess.run(
        ["make", "--dry-run", "demo", "demo-train"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    lines = [tuple(line.split()) for line in recipe.splitlines() if line.startswith(".venv/bin/python ")]
    ours = [program(words) for words in lines if program(words)[0] in OURS]
    assert len(ours) == 5
    for module, arguments in ours:
        parser_of(module).parse_args(arguments)


def known_options() -> set[str]:
    options = {option for module in OURS for option in parser_of(module)._option_string_actions}
    script = (ROOT / "deploy" / "install.sh").read_text()
    return options | set(re.findall(r"^\s+(--[\w-]+)\)", script, re.MULTILINE))


def test_every_option_named_in_a_sentence_exists():
    known = known_options()
    for page in PAGES:
        for token in inline(page, "code_inline"):
            first = Path(token.content.split()[0]).name
            instrument = re.match(r"python -m (benchmarks[\w.]*)", token.content)
            if instrument:
                assert importlib.util.find_spec(instrument[1]), f"{page.name}: no module {instrument[1]}"
                continue
            if first in FOREIGN or first in ("make", "torchrun"):
                continue
            named = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*", token.content))
            assert named <= known, f"{page.name}: {', '.join(named - known)} is no option of any program here"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_examples_and_fences_hold(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for target in links(page):
        assert (page.parent / target).exists(), f"{page.name} leads to {target}, which does not exist"
    assert not unnamed_fences(page), f"{page.name}: a fence that does not name its language"
    test = doctest.DocTestParser().get_doctest(examples(page), {}, page.name, str(page), 0)
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_test_named_in_a_page_exists(page):
    for token in inline(page, "code_inline"):
        named = re.fullmatch(r"(tests/[\w/]+\.py)::(\w+)", token.content)
        if named:
            source = ROOT / named[1]
            assert source.is_file(), f"{page.name}: {named[1]} does not exist"
            assert f"def {named[2]}(" in source.read_text(encoding="utf-8"), f"{page.name}: no {token.content}"


def test_the_figure_of_the_stream_shows_its_true_numbers():
    g = StreamGeometry.resolve(FeatureConfig(), ModelConfig(), WindowConfig())
    figure = (ROOT / "docs" / "images" / "stream.svg").read_text(encoding="utf-8")
    for text in (
        f"{g.interval_frames} new frames",
        f"{g.block_frames - g.interval_frames} frames of context",
        f"{g.interval_steps} new steps",
        f"{g.window_steps - g.interval_steps} stored steps",
        f"{g.window_steps} steps",
    ):
        assert text in figure, f"the figure does not say {text!r}"


def test_every_field_of_a_bundle_is_described(bundle_path):
    page = (ROOT / "docs" / "bundle.md").read_text(encoding="utf-8")
    for path in (PRETRAINED, PRETRAINED.with_name("float32"), bundle_path):
        manifest = Bundle.open(path).manifest
        for key in manifest.provenance:
            assert f"| `{key}` |" in page, f"docs/bundle.md does not describe provenance.{key}"
        for key in np.load(path / GOLDEN).files:
            name = re.sub(f"^({'|'.join(manifest.models)})_", "RUNTIME_", key)
            assert f"| `{name}` |" in page, f"docs/bundle.md does not describe {GOLDEN}: {key}"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, list[str]]:
    """The site of the documents and one dead link, and the warnings of its build."""
    pytest.importorskip("material", reason="needs MkDocs Material: make test EXTRAS=docs")
    copy = tmp_path_factory.mktemp("documents")
    shutil.copytree(ROOT / "docs", copy / "docs")
    for name in ("mkdocs.yml", "CONTRIBUTING.md", "CHANGELOG.md", "edge"):
        (copy / name).symlink_to(ROOT / name)
    page = copy / "docs" / "index.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n[nowhere](nowhere.md)\n", encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", copy / "site"]
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return copy / "site", re.findall("^(?:WARNING|ERROR).*", result.stderr, re.MULTILINE)


@pytest.fixture
def site(built) -> Path:
    return built[0]


def test_a_dead_link_is_the_only_warning_and_make_docs_fails_on_warnings(built):
    (warning,) = built[1]
    assert "nowhere.md" in warning
    assert re.search(r"mkdocs build .*--strict", (ROOT / "Makefile").read_text(encoding="utf-8"))


def test_the_site_holds_every_page_and_asks_nobody_else(site):
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    for page in (ROOT / "docs").glob("*.md"):
        assert f"{page.stem}.html" in pages
    for page in pages:
        text = (site / page).read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?([^\s\">]+)", text)
        loaded += re.findall(r"<link[^>]*\bhref=\"?([^\s\">]+)", text)
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], page
