"""The checks on older releases of MLX: what pip prints, what the file holds, and a release that can't be installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from guide import CLAIMS

from claims import _history as history
from claims import _releases as releases
from claims._history import History, Version
from compile_guide.ledger.claims import LedgerError

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


def test_this_python_is_at_hand_and_comes_first():
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert next(iter(releases.pythons().items())) == (version, sys.executable)


def test_program_that_only_complains_is_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, line in (("python3.12", "echo 'pyenv: not found' >&2; exit 127"), ("python3.13", "echo Python 3.13.9")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setattr(releases, "PYTHONS", ("3.12", "3.13"))
    assert "3.12" not in releases.pythons()
    assert releases.pythons()["3.13"] == str(tmp_path / "python3.13")


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
        ('{"schema": 1, "platform": "p", "observations": [], "versions": [{"verdicts": []}]}', "not a history"),
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


def test_missing_wheel_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    version = history.run_version("0.0.1", sys.executable, [], CLAIMS, tmp_path)
    assert version.verdicts == {}
    assert version.status == "not installed: ERROR: No matching distribution found for mlx==0.0.1"


def test_wheel_that_does_not_import_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = f"echo 'ImportError: {tmp_path}/libmlx.so: no such file' >&2; exit 1"
    maker = tmp_path / "maker"  # stands for Python and pip: makes an environment whose interpreter fails
    maker.write_text(f'#!/bin/sh\nmkdir -p {tmp_path}/bin\nprintf "%s\\n" "#!/bin/sh" "{made}" > {tmp_path}/bin/python\n'
                     f"chmod +x {tmp_path}/bin/python\n")  # fmt: skip
    maker.chmod(0o755)
    monkeypatch.setattr(releases, "PIP", [str(maker)])
    assert releases.install("0.29.0", str(maker), tmp_path) == "not importable: ImportError: <path>: no such file"


@pytest.fixture
def this_mlx(monkeypatch: pytest.MonkeyPatch):
    """Instead of installing a release, take the MLX of the Python that runs the tests."""

    def install(release: str, python: str, place: Path) -> str:
        subprocess.run([python, "-m", "venv", "--without-pip", str(place)], check=True)
        packages = next(place.glob("lib/python*/site-packages"))
        (packages / "mlx.pth").write_text(next(path for path in sys.path if Path(path, "mlx").is_dir()))
        return ""

    monkeypatch.setattr(history, "install", install)


def run(*words: str) -> int:
    return history.main(["--claims", str(CLAIMS), "--releases", "0.32.4", *words])


def test_checks_run_and_are_saved(tmp_path: Path, this_mlx: None, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "history.json"
    assert run("error-type-kept", "slice-end-clipped", "--out", str(out)) == 0
    (version,) = history.load(out).versions
    assert version.verdicts["error-type-kept"] == (True, "LookupError: mine")
    assert capsys.readouterr().out == "0.32.4: ok, 2 verdicts\n"


def test_releases_asked_side_by_side_are_all_saved(tmp_path: Path, this_mlx: None):
    out = tmp_path / "history.json"
    assert run("error-type-kept", "--releases", "0.32.3,0.32.4,0.31.2", "--jobs", "3", "--out", str(out)) == 0
    assert [one.mlx for one in history.load(out).versions] == ["0.31.2", "0.32.3", "0.32.4"]


def test_package_beside_a_newer_mlx_does_not_bring_it_along(
    tmp_path: Path, this_mlx: None, monkeypatch: pytest.MonkeyPatch
):
    packages = tmp_path / "site-packages"  # as where the package is installed
    (packages / "mlx").mkdir(parents=True)
    (packages / "mlx" / "core.py").write_text("raise ImportError('the newer MLX')")
    (packages / "compile_guide").symlink_to(history.PACKAGE)
    monkeypatch.setattr(history, "PACKAGE", packages / "compile_guide")
    assert run("error-type-kept", "--out", str(tmp_path / "history.json")) == 0
    (version,) = history.load(tmp_path / "history.json").versions
    assert version.verdicts == {"error-type-kept": (True, "LookupError: mine")}


def test_unknown_claim_is_named(tmp_path: Path):
    with pytest.raises(LedgerError, match=r"^there is no claim 'nonsense' in "):
        run("nonsense", "--out", str(tmp_path / "x"))


def test_machines_are_not_mixed(tmp_path: Path):
    history.save(History("plan9-z80", ()), tmp_path / "history.json")
    with pytest.raises(LedgerError, match="was made on plan9-z80, this is"):
        run("slice-end-clipped", "--out", str(tmp_path / "history.json"))


def test_claims_import_nothing_but_the_standard_library_and_themselves():
    names = ["mlx", "numpy", "msgspec", "rich", "sphinx"]
    blocked = f"import sys\nsys.modules.update(dict.fromkeys({names}))\n"
    program = blocked + (
        "import pathlib, compile_guide.ledger.check as check\n"
        f"print(len(check.load_claims(pathlib.Path({str(CLAIMS)!r}))) > 100)"
    )
    env = {"PYTHONPATH": str(history.PACKAGE.parent)}
    ended = subprocess.run([sys.executable, "-S", "-c", program], env=env, capture_output=True, text=True)
    assert ended.stdout == "True\n", ended.stderr


def test_a_run_of_single_claims_keeps_the_verdicts_on_the_others() -> None:
    old = history.Version("0.30.0", "3.11.7", "ok", {"a": (True, "one"), "b": (True, "two"), "gone": (True, "three")})
    new = history.Version("0.30.0", "3.11.7", "ok", {"b": (False, "four")})
    (merged,) = history.merge(history.History("linux-x86_64", (old,)), new, keep={"a"}).versions
    assert merged.verdicts == {"a": (True, "one"), "b": (False, "four")}
