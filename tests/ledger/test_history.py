"""The ledger on old releases: what pip says, what the file holds, and a release that can't be installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from guide import all_claims
from compile_guide.ledger.history import History, Turn, Version
from compile_guide.ledger.runner import history, releases

PIP = """mlx (0.32.4)
Available versions: 0.32.4, 0.32.3, 0.25.2, 0.21.1, 0.2.0
  INSTALLED: 0.32.4
"""
OLD = Version("0.21.1", "3.11.7", "ok", {"a": (True, "yes"), "b": (None, "no mx.b")})
NEW = Version("0.32.4", "3.11.7", "ok", {"a": (False, "no"), "b": (True, "yes")})
BROKEN = Version("0.25.2", "3.11.7", "not installed: no wheel", {})
HERE = "linux-x86_64"


def test_releases_before_the_first_are_left_out():
    assert releases.available(PIP) == ["0.32.4", "0.32.3", "0.25.2", "0.21.1"]


def test_pip_without_an_answer_gives_no_release():
    assert releases.available("ERROR: No matching distribution found for mlx\n") == []


def test_releases_are_ordered_by_number_not_by_letter():
    assert sorted(["0.9.1", "0.32.4", "0.100.0"], key=releases.order) == ["0.9.1", "0.32.4", "0.100.0"]


def test_this_python_is_at_hand_and_comes_first():
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert next(iter(releases.pythons().items())) == (version, sys.executable)


def test_program_that_only_complains_is_no_python(tmp_path: Path):
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert not releases._runs(str(shim), "3.12")


def test_saved_history_is_loaded_again(tmp_path: Path):
    whole = History(HERE, (OLD, BROKEN, NEW))
    history.save(whole, tmp_path / "history.json")
    assert history.load(tmp_path / "history.json") == whole


def test_each_observation_is_written_once_and_each_release_on_a_line(tmp_path: Path):
    history.save(History(HERE, (OLD, NEW)), tmp_path / "history.json")
    text = (tmp_path / "history.json").read_text(encoding="utf-8")
    assert json.loads(text)["observations"] == ["yes", "no mx.b", "no"]
    assert text.count('"yes"') == 1
    assert [line for line in text.splitlines() if "0.32.4" in line] == [
        '{"mlx": "0.32.4", "python": "3.11.7", "status": "ok", "verdicts": {"a": [false, 2], "b": [true, 0]}}'
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 99}', "schema 99, this program reads 1"),
        ("[]", "not a history of MLX releases"),
        ("{", "not a history of MLX releases"),
        (
            '{"schema": 1, "platform": "p", "observations": [], "versions": '
            '[{"mlx": "1", "python": "3", "status": "ok", "verdicts": {"a": [true, 0]}}]}',
            "IndexError",
        ),
    ],
)
def test_foreign_file_is_refused_in_a_line(tmp_path: Path, text: str, message: str):
    file = tmp_path / "history.json"
    file.write_text(text)
    with pytest.raises(history.HistoryError, match=message):
        history.load(file)


def test_release_that_ran_again_takes_its_own_place():
    again = Version("0.21.1", "3.12.1", "ok", {})
    merged = history.merge(history.merge(History(HERE, (OLD, NEW)), BROKEN), again)
    assert merged.versions == (again, BROKEN, NEW)


def test_turns_skip_a_release_that_could_not_be_run():
    assert history.turns(History(HERE, (OLD, BROKEN, NEW))) == (
        Turn("a", "0.32.4", "0.21.1", False, "yes", "no"),
        Turn("b", "0.32.4", "0.21.1", True, "no mx.b", "yes"),
    )


def test_turns_reach_over_releases_that_were_asked_other_claims():
    between = Version("0.30.0", "3.11.7", "ok", {"b": (None, "no mx.b")})
    found = {turn.claim: (turn.last, turn.release) for turn in history.turns(History(HERE, (OLD, between, NEW)))}
    assert found == {"a": ("0.21.1", "0.32.4"), "b": ("0.30.0", "0.32.4")}


def test_missing_wheel_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("PIP_NO_INDEX", "UV_NO_INDEX", "UV_OFFLINE"):
        monkeypatch.setenv(name, "1")
    version = history.run_version("0.0.1", sys.executable, [], tmp_path)
    assert version.verdicts == {}
    assert version.status.startswith("not installed: ")
    assert str(tmp_path) not in version.status


def test_wheel_that_does_not_import_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(releases, "_with_uv", lambda *_: [])
    monkeypatch.setattr(releases, "_with_pip", lambda *_: [])
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'ImportError: libmlx.so: no such file' >&2\nexit 1\n")
    program.chmod(0o755)
    said = releases.install("0.29.0", sys.executable, tmp_path)
    assert said == "not importable: ImportError: libmlx.so: no such file"


@pytest.fixture
def this_mlx(monkeypatch: pytest.MonkeyPatch):
    """Instead of installing a release, take the Python that runs the tests."""

    def install(release: str, python: str, place: Path) -> str:
        (place / "bin").mkdir(parents=True)
        (place / "bin" / "python").symlink_to(sys.executable)
        return ""

    monkeypatch.setattr(history, "install", install)
    site = subprocess.run(
        [sys.executable, "-c", "import mlx, os; print(os.path.dirname(list(mlx.__path__)[0]))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    monkeypatch.setattr(history, "SOURCE", f"{history.SOURCE}:{site.stdout.strip()}")


def test_checks_run_and_are_saved(tmp_path: Path, this_mlx: None, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "history.json"
    wanted = "error-type-kept,slice-end-clipped"
    assert history.main(["--releases", "0.32.4", "--claims", wanted, "--out", str(out)]) == 0
    (version,) = history.load(out).versions
    assert version.verdicts["error-type-kept"] == (True, "LookupError: mine")
    assert capsys.readouterr().out == "0.32.4: 2 hold, 0 don't, 0 can't be decided\n"


def test_crash_is_an_observation(tmp_path: Path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    program.chmod(0o755)
    claim = all_claims()["slice-end-clipped"]
    seen = history._check(str(program), claim, tmp_path / "check", 60, None)
    assert seen == (None, "the check's process was ended: killed by SIGSEGV")


def test_unknown_claim_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert history.main(["--releases", "0.32.4", "--claims", "nonsense", "--out", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().out == "no claim nonsense\n"


def test_machines_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "history.json"
    history.save(History("plan9-z80", ()), out)
    arguments = ["--releases", "0.32.4", "--claims", "slice-end-clipped", "--out", str(out)]
    assert history.main(arguments) == 2
    assert "was made on plan9-z80" in capsys.readouterr().out


def test_claims_import_nothing_but_the_standard_library_and_themselves():
    names = ["mlx", "numpy", "msgspec", "rich", "sphinx"]
    blocked = f"import sys\nsys.modules.update(dict.fromkeys({names}))\n"
    program = blocked + "from compile_guide.ledger.claims import all_claims; print(len(all_claims()) > 100)"
    env = {"PYTHONPATH": str(history.SOURCE)}
    ended = subprocess.run([sys.executable, "-S", "-c", program], env=env, capture_output=True, text=True)
    assert ended.stdout == "True\n", ended.stderr


def test_a_run_of_single_claims_keeps_the_verdicts_on_the_others() -> None:
    old = history.Version("0.30.0", "3.11.7", "ok", {"a": (True, "one"), "b": (True, "two"), "gone": (True, "three")})
    new = history.Version("0.30.0", "3.11.7", "ok", {"b": (False, "four")})
    (merged,) = history.merge(history.History("linux-x86_64", (old,)), new, keep={"a"}).versions
    assert merged.verdicts == {"a": (True, "one"), "b": (False, "four")}
