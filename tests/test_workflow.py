"""The workflow runs what this repository has: its Python versions, extras and files; one version number everywhere."""

import re
import tomllib

import pytest
from helpers import ROOT

yaml = pytest.importorskip("yaml", reason="needs PyYAML: the train extra")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_every_declared_python_is_tested():
    declared = [name.rsplit(" ", 1)[1] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert yaml.safe_load(WORKFLOW)["jobs"]["test"]["strategy"]["matrix"]["python-version"] == declared


def test_the_workflow_names_extras_and_paths_that_exist():
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    joined = re.findall(r"EXTRAS=(\S+)", WORKFLOW)
    extras = {*re.findall(r"--extra (\w+)", WORKFLOW), *",".join(joined).split(",")}
    assert joined and extras
    for extra in extras:
        assert f'    "{extra}": [' in setup, f"no extra {extra}"
    paths = re.findall(r"\b(?:tests|edge)/[\w/.]+", WORKFLOW)
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), f"ci.yml names {path}"


def test_a_job_measures_coverage_and_fails_below_a_share():
    """`.ci/run` does not measure it."""
    steps = yaml.safe_load(WORKFLOW)["jobs"]["coverage"]["steps"]
    assert any(re.match(r"make test .*OPTIONS=--cov$", step.get("run", "")) for step in steps)
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tools["coverage"]["report"]["fail_under"] >= 95


def test_forms_and_hooks_are_valid_yaml():
    for path in (*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"):
        assert yaml.safe_load(path.read_text(encoding="utf-8")), path


def test_one_version_everywhere():
    """The newest release of the changelog, the citation and the package."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest, day = re.search(r"^## \[?(\d+\.\d+\.\d+)\]? - (\S+)$", changelog, re.MULTILINE).groups()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert newest == PROJECT["version"] == citation["version"]
    assert day == str(citation["date-released"])
