"""GitHub's workflows: their form, pinned actions, and that a stranger's pull request can do nothing but read."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from guide import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent
SHELLCHECK = shutil.which("shellcheck", path=f"{BIN}{os.pathsep}{os.environ['PATH']}") or ""
NO_WHEEL = (platform.system(), platform.machine()) == ("Linux", "aarch64")
TOOLS = {
    "schema": (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"),
    "actionlint": (str(BIN / "actionlint"), "-no-color", "-shellcheck", SHELLCHECK, "-pyflakes", ""),
    "zizmor": (str(BIN / "zizmor"), "--offline", "--no-progress", "--format", "plain"),
}


def check(tool: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [*TOOLS[tool], *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_workflows_pass(tool: str) -> None:
    done = check(tool, *WORKFLOWS)
    assert len(WORKFLOWS) == 3 and done.returncode == 0, done.stdout + done.stderr


CHECKOUT = re.compile(r"actions/checkout@\w{40} # \S+")
FAULTS = {
    "a misspelled key": ("schema", ("timeout-minutes", "timeout-minuts"), "timeout-minuts"),
    "a job without a machine": ("schema", ("    runs-on: ubuntu-24.04\n", ""), "runs-on"),
    "a machine that GitHub doesn't lend": ("actionlint", ("runs-on: ubuntu-24.04", "runs-on: ubuntu-19.04"), "runner-label"),
    "a step that isn't there": ("actionlint", ("path: build/html", "path: ${{ steps.built.outputs.site }}"), '"built" is not'),
    "a script with a fault": ("actionlint", ("python -m nox -s render", "cd $(ls) && echo $HOME"), "shellcheck"),
    "an action by its tag": ("zizmor", (CHECKOUT, "actions/checkout@v6"), "unpinned-uses"),
    "a token left on disk": ("zizmor", ("persist-credentials: false", "fetch-depth: 1"), "artipacked"),
    "a stranger's words in a shell": (
        "zizmor",
        ("python -m nox -s render", "echo ${{ github.event.pull_request.title }}"),
        "template-injection",
    ),
    "every permission": (
        "zizmor",
        (re.compile(r"permissions:\n +contents: read.*"), "permissions: write-all"),
        "excessive-permissions",
    ),
    "a stranger's code with our token": ("zizmor", ("  pull_request:\n", "  pull_request_target:\n"), "dangerous-triggers"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, tmp_path: Path) -> None:
    tool, (old, new), found = FAULTS[fault]
    if found == "shellcheck" and not SHELLCHECK and NO_WHEEL:
        pytest.skip("shellcheck has no wheel for Linux on arm64, and the system's isn't installed")
    text = (ROOT / ".github" / "workflows" / "pull-request.yml").read_text(encoding="utf-8")
    spoiled = old.sub(new, text) if isinstance(old, re.Pattern) else text.replace(old, new)
    assert spoiled != text
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "spoiled.yml").write_text(spoiled, encoding="utf-8")
    done = check(tool, tmp_path / ".github" / "workflows" / "spoiled.yml")
    assert done.returncode != 0 and found in done.stdout + done.stderr


def by_version(folder: Path, extra: str = "") -> list[Path]:
    """Copies of the workflows with tags in place of commits: of an action by its commit, actionlint knows nothing."""
    for path in WORKFLOWS:
        text = re.sub(r"@\w{40} # (v\d+)\.\S+", r"@\1", path.read_text(encoding="utf-8"))
        (folder / path.name).write_text(text.replace("with:\n", f"with:\n{extra}"), encoding="utf-8")
    return sorted(folder.glob("*.yml"))


def test_no_action_is_out_of_date_or_given_an_input_that_it_lacks(tmp_path: Path) -> None:
    done = check("actionlint", *by_version(tmp_path))
    assert done.returncode == 0, done.stdout
    done = check("actionlint", *by_version(tmp_path, extra="          nam: site\n"))
    known = set(re.findall(r'input "nam" is not defined in action "(actions/[a-z-]+)@v\d+"', done.stdout))
    used = set(re.findall(r"uses: (\S+)@", "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)))
    assert used - known == {"actions/deploy-pages"}  # the only one that is given no input


def load(path: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def test_each_action_is_pinned_by_its_commit_and_says_its_version_the_same_everywhere() -> None:
    used = [line.strip(" -") for path in WORKFLOWS for line in path.read_text("utf-8").splitlines() if "uses:" in line]
    pins = [re.fullmatch(r"uses: (actions/[a-z-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line) for line in used]
    assert len(used) > 5 and all(pins)
    assert len({pin[1] for pin in pins if pin}) == len({pin.groups() for pin in pins if pin})


def test_a_pull_request_starts_two_workflows_and_never_with_our_rights() -> None:
    started = {path.stem: [event for event in load(path)[True] if "pull" in event] for path in WORKFLOWS}
    assert started == {"audit": ["pull_request"], "pull-request": ["pull_request"], "site": []}  # YAML 1.1: on is true


@pytest.mark.parametrize("name", ["audit", "pull-request"])
def test_a_pull_request_can_read_and_nothing_else(name: str) -> None:
    path = ROOT / ".github" / "workflows" / f"{name}.yml"
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert [job["permissions"] for job in workflow["jobs"].values()] == [{"contents": "read"}]
    text = path.read_text(encoding="utf-8")
    assert "${{ secrets" not in text and "nox -s record" not in text and "nox -s docs" not in text


def test_only_the_job_that_publishes_may_write_and_it_runs_no_code_of_ours() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "site.yml")["jobs"]
    writes = {name for name, job in jobs.items() if "write" in job["permissions"].values()}
    assert writes == {"publish"}
    assert [list(step) for step in jobs["publish"]["steps"]] == [["id", "uses"]]
    assert jobs["record"]["strategy"]["matrix"]["runner"] == ["macos-26", "ubuntu-24.04"]


def test_the_commands_in_the_workflows_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    sessions = set(re.findall(r"nox -s ([a-z-]+)", text))
    assert sessions == {"audit", "record", "check-record", "render", "lint"}
    assert all(f"\ndef {session.replace('-', '_')}(session" in noxfile for session in sessions)
    assert (ROOT / "requirements" / "tests.txt").read_text(encoding="utf-8").count("\nnox==") == 1
