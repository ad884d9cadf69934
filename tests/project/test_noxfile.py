"""The project's commands: their options, the compiler they need, the locks they install from."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from guide import ROOT

LINUX = sys.platform.startswith("linux")
BUILD = "cpu" if LINUX else "metal"


@pytest.fixture(scope="module")
def noxfile() -> ModuleType:
    spec = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["noxfile"] = module  # a dataclass looks its own module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    """A copy of the locks, of what makes them and of their input, to be spoiled."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def nox(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run nox on the real noxfile, with ``path`` as PATH."""
    environment = os.environ | ({} if path is None else {"PATH": path})
    command = [
        sys.executable,
        "-m",
        "nox",
        "--no-error-on-external-run",
        "-f",
        str(ROOT / "noxfile.py"),
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line, in which a session says why it ends."""
    return done.stderr.splitlines()[-1].removeprefix("nox > ")


# Options


def test_without_options_the_default_build_of_mlx_is_taken(noxfile: ModuleType) -> None:
    assert noxfile.parse([]) == noxfile.Options(BUILD, ())


def test_the_environment_can_name_the_build_of_mlx(noxfile: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("COMPILE_GUIDE_MLX", "cuda12")
    assert noxfile.parse([]) == noxfile.Options("cuda12")
    assert noxfile.parse(["--mlx", "cuda13"]) == noxfile.Options("cuda13")


def test_names_and_limits_go_to_the_record_command(noxfile: ModuleType) -> None:
    arguments = ["gelu_speedup", "--budget", "0.50", "--keep-going", "--processes", "2", "compile_basics"]
    found = noxfile.parse(arguments, measures=True)
    assert found.rest == ("gelu_speedup", "compile_basics", "--budget", "0.5", "--processes", "2", "--keep-going")


def test_published_packages_are_measured_all_together(noxfile: ModuleType) -> None:
    found = noxfile.parse(["--published", "--budget", "1"], measures=True, records=True)
    assert found == noxfile.Options(BUILD, ("--budget", "1"), published=True)
    with pytest.raises(noxfile.Refusal, match=r"^--published measures all of its functions: with it go --budget and "):
        noxfile.parse(["--published", "gelu_speedup"], measures=True, records=True)


def test_options_of_pytest_keep_their_order(noxfile: ModuleType) -> None:
    arguments = ["-k", "gelu or state", "--mlx", BUILD, "tests/test_timing.py", "-x", "--durations=3"]
    found = noxfile.parse(arguments, passes_on=True)
    assert found.rest == ("-k", "gelu or state", "tests/test_timing.py", "-x", "--durations=3")


@pytest.mark.parametrize(
    ("system", "arguments", "message"),
    [
        (
            "linux",
            ["--mlx", "metal"],
            "--mlx metal: choose from cpu, cuda12, cuda13 on this operating system",
        ),
        ("darwin", ["--mlx", "cuda13"], "--mlx cuda13: choose from metal on this operating system"),
        ("linux", ["--budgte", "1"], "unknown option '--budgte': `-- --help` lists those of this session"),
        ("linux", ["gelu_speed_up"], "no example 'gelu_speed_up': did you mean gelu_speedup"),
        ("linux", ["--budget", "soon"], "argument --budget: invalid float value: 'soon'"),
    ],
)
def test_a_wrong_option_is_refused(
    noxfile: ModuleType, monkeypatch: pytest.MonkeyPatch, system: str, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(noxfile.Refusal) as refused:
        noxfile.parse(arguments, measures=True)
    assert str(refused.value) == message


def test_a_session_ends_with_the_refusal_as_one_line() -> None:
    done = nox("-s", "render", "--", "--budget", "1")
    assert done.returncode == 1
    assert last_words(done) == (
        "Session render aborted: unknown option '--budget': `-- --help` lists those of this session."
    )


class Asked:
    """A session with options that none has."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        self.posargs = ["--nonsense"]
        self.said = ""

    def error(self, said: str) -> None:
        self.said = said


def test_every_program_of_a_session_reads_utf8_whatever_the_locale(noxfile: ModuleType) -> None:
    session = Asked()
    noxfile.render(session)
    assert session.said.startswith("unknown option '--nonsense'")
    assert session.env["PYTHONUTF8"] == "1"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (4.2, "4.2 s"), (59.6, "1 min 0 s"), (192, "3 min 12 s")]
)
def test_a_duration_reads_as_people_say_it(noxfile: ModuleType, seconds: float, text: str) -> None:
    assert noxfile.duration(seconds) == text


def test_a_session_is_called_as_it_is_written_on_a_command_line() -> None:
    listed = nox("--list").stdout
    assert "- check-record ->" in listed and "check_record" not in listed


# The compiler

calls_compiler = pytest.mark.skipif(not LINUX, reason="only MLX's builds for Linux call g++")
FAULTS = {
    "fails": (
        "#!/bin/sh\necho 'cc1plus: cannot be found' >&2\nexit 3\n",
        "exit status 3: cc1plus: cannot be found",
    ),
    "says-nothing": ("#!/bin/sh\nexit 1\n", "exit status 1: it printed nothing"),
    "not-a-program": ("", "Exec format error"),
    "makes-rubbish": ("#!/bin/sh\necho rubbish > probe.so\n", "file too short"),
    "makes-nothing": ("#!/bin/sh\nexit 0\n", "cannot open shared object file"),
}


@pytest.fixture
def only_here(tmp_path: Path) -> Iterator[Path]:
    """A folder that is to be all of PATH, with nothing in it but the shell and env."""
    for name in ("sh", "env"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    return tmp_path


def test_a_machine_with_a_compiler_passes(noxfile: ModuleType) -> None:
    assert noxfile.compiler_fault() is None


@calls_compiler
@pytest.mark.parametrize("session", ["docs", "record", "render", "tests"])
def test_without_a_compiler_a_session_stops_before_installing(session: str, only_here: Path) -> None:
    done = nox("-s", session, path=str(only_here))
    assert done.returncode == 1
    assert last_words(done) == (
        f"Session {session} aborted: g++ is missing, and MLX's CPU backend builds its kernels with "
        "it: install it (Debian, Ubuntu: `apt-get install g++`; Fedora: `dnf install gcc-c++`) and run this "
        "again."
    )
    assert "install" not in "".join(done.stderr.splitlines()[:-1])


def test_the_tests_of_sphinx_gallery_name_the_programs_that_they_lack(only_here: Path) -> None:
    done = nox("-s", "peer-suite", path=str(only_here))
    assert done.returncode == 1
    assert last_words(done) == (
        "Session peer-suite aborted: sphinx-gallery's tests need programs that are missing: "
        "`apt-get install graphviz pandoc ffmpeg`."
    )


@calls_compiler
@pytest.mark.parametrize(("script", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_a_broken_compiler_is_told_from_none(
    noxfile: ModuleType, only_here: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    compiler = only_here / "g++"
    compiler.write_text(script)
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(only_here))
    fault = noxfile.compiler_fault()
    assert fault.startswith("g++ can't build a working kernel (")
    assert reason in fault
    assert "\n" not in fault


def put_program(folder: Path, name: str, status: int = 0) -> None:
    """Write a program that ends with this exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\nexit {status}\n", encoding="ascii")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("status", [0, 2])
def test_a_mac_is_asked_for_apples_tools_where_its_gpp_is_a_stand_in(
    status: int, noxfile: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(tmp_path, "xcode-select", status)
    assert Path("/usr/bin/g++").exists()
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin")
    fault = noxfile.compiler_fault("darwin")
    assert (fault is None) == (status == 0)
    assert fault is None or ("`xcode-select --install`" in fault and "\n" not in fault)


def test_a_mac_with_another_gpp_needs_no_tools_and_one_without_any_does(
    noxfile: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(tmp_path / "brew", "g++")
    monkeypatch.setenv("PATH", str(tmp_path / "brew"))
    assert noxfile.compiler_fault("darwin") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "command line tools are missing" in (noxfile.compiler_fault("darwin") or "")


def test_a_cuda_build_is_refused_where_there_is_no_gpu(noxfile: ModuleType, tmp_path: Path) -> None:
    """Before gigabytes are installed: MLX itself would compute on the processor and say nothing."""
    doors = (str(tmp_path / "nvidiactl"), str(tmp_path / "dxg"))
    said = f"--mlx cuda13: no NVIDIA GPU is here ({doors[0]} is missing); without --mlx, MLX computes on the processor"
    assert noxfile.gpu_fault("cuda13", doors) == said
    assert noxfile.gpu_fault("cpu", doors) is None
    Path(doors[1]).touch()
    assert noxfile.gpu_fault("cuda12", doors) is None


@pytest.mark.skipif(not LINUX or Path("/dev/nvidiactl").exists(), reason="asks for a GPU where there is none")
@pytest.mark.parametrize("session", ["docs", "record", "render", "tests"])
def test_a_session_for_a_missing_gpu_ends_in_one_line(session: str) -> None:
    done = nox("-s", session, "--", "--mlx", "cuda13")
    assert done.returncode == 1
    assert last_words(done).startswith(f"Session {session} aborted: --mlx cuda13: no NVIDIA GPU is here")


# Which record is shown


def put_record(name: str, backend: str, day: int, *comparisons: str) -> None:
    """Write what decides whether a record is shown; the comparisons are all of one example."""
    facts = {"id": name, "created": f"2026-11-0{day}T00:00:00Z", "machine": {"backend": backend}}
    entries = [{"example": "one", "name": comparison} for comparison in comparisons]
    Path("docs/records", f"{name}.json").write_text(json.dumps({**facts, "comparisons": entries}))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three records, two of them from CPUs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPILE_GUIDE_RECORD", raising=False)
    Path("docs/records").mkdir(parents=True)
    Path("build").mkdir()
    for name, backend, day in (("old", "cpu", 1), ("gpu", "cuda", 2), ("new", "cpu", 3)):
        put_record(name, backend, day, "a", "b", "c")
    return tmp_path


def test_where_nothing_was_measured_the_most_telling_backend_is_shown(noxfile: ModuleType, checkout: Path) -> None:
    assert noxfile.record_to_show() == "gpu"
    Path("docs/records/gpu.json").unlink()
    assert noxfile.record_to_show() == "new"


def test_a_record_with_few_comparisons_is_not_shown_beside_whole_ones(noxfile: ModuleType, checkout: Path) -> None:
    put_record("few", "metal", 4, "a")
    assert noxfile.record_to_show() == "gpu"


def test_a_record_that_lacks_what_its_example_measures_by_now_is_not_shown(noxfile: ModuleType, checkout: Path) -> None:
    put_record("new", "cpu", 3, "a", "b", "c", "d")
    assert noxfile.record_to_show() == "new"
    put_record("gpu", "cuda", 2, "a", "b", "c", "d", "only on a GPU")
    assert noxfile.record_to_show() == "gpu"
    put_record("few", "cuda", 4, "only on two GPUs")
    assert noxfile.record_to_show() == "gpu"


def test_what_was_measured_here_last_is_shown_before_others(noxfile: ModuleType, checkout: Path) -> None:
    (checkout / "build" / "this-record").write_text("old\n")
    assert noxfile.record_to_show() == "old"


def test_a_record_that_was_measured_here_and_deleted_is_not_missed(noxfile: ModuleType, checkout: Path) -> None:
    (checkout / "build" / "this-record").write_text("gone\n")
    assert noxfile.record_to_show() == "gpu"


def test_the_environment_chooses_the_record(
    noxfile: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "build" / "this-record").write_text("old\n")
    monkeypatch.setenv("COMPILE_GUIDE_RECORD", "new")
    assert noxfile.record_to_show() == "new"


def test_a_record_named_but_missing_is_refused(
    noxfile: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPILE_GUIDE_RECORD", "none")
    with pytest.raises(noxfile.Refusal, match=r"^COMPILE_GUIDE_RECORD=none: there is no docs/records/none\.json$"):
        noxfile.record_to_show()


def test_without_any_record_the_reader_is_told_to_measure(noxfile: ModuleType, checkout: Path) -> None:
    for path in Path("docs/records").iterdir():
        path.unlink()
    with pytest.raises(noxfile.Refusal, match=r"^docs/records holds no record: `nox -s docs` measures this machine$"):
        noxfile.record_to_show()


def test_a_file_that_is_no_record_hides_no_other(noxfile: ModuleType, checkout: Path) -> None:
    hostile = {"deep": b"[" * 100_000, "large": b" " * 5_000_000, "list": b"[]", "text": b"hello", "bytes": b"\xff",
               "numbers": b'{"id": 1, "created": 2, "machine": {"backend": 3}, "comparisons": 4}',
               "backend": b'{"id": "backend", "created": "2026", "machine": {"backend": "tpu"}, "comparisons": []}'}  # fmt: skip
    for name, content in hostile.items():
        Path("docs/records", f"{name}.json").write_bytes(content)
    Path("docs/records/folder.json").mkdir()
    os.mkfifo("docs/records/pipe.json")
    assert noxfile.record_to_show() == "gpu"
    for name in ("old", "new", "gpu"):
        Path("docs/records", f"{name}.json").unlink()
    with pytest.raises(noxfile.Refusal, match="holds no record that can be read"):
        noxfile.record_to_show()


class Ends:
    """A session in which Sphinx ends with status 0; whether it has finished, its own file says."""

    def __init__(self, ended: bool) -> None:
        self.ended = ended

    def run(self, *_: str) -> None:
        Path("build/doctrees").mkdir(exist_ok=True)
        Path("build/doctrees/compile-guide.json").write_text(json.dumps({"ended": self.ended}))


def test_a_build_that_ended_with_status_0_before_it_was_finished_is_refused(
    noxfile: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noxfile.build(Ends(True), "python")
    assert "Site: " in capsys.readouterr().out
    with pytest.raises(noxfile.Refusal, match="before the site was finished"):
        noxfile.build(Ends(False), "python")
    assert "Site: " not in capsys.readouterr().out


CUT_OFF = {"empty": b"", "half": b'{"record": "12', "a list": b"[]", "no text": b"\xff\xfe", "deep": b"[" * 100_000}
"""What a file of ours may hold after a crash or a full disk."""


@pytest.mark.parametrize("content", CUT_OFF.values(), ids=CUT_OFF)
def test_a_note_of_what_is_installed_that_was_cut_off_has_it_installed_again(
    noxfile: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(noxfile, "ROOT", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    folder = tmp_path / ".nox" / f"{BUILD}-{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    (folder / "installed.json").write_bytes(content)
    session = type("Session", (), {"run": lambda _, *argv: ran.append(argv)})()
    for times in (2, 2):  # pip runs twice, then not at all
        noxfile.environment(session, BUILD)
        assert len(ran) == times


@pytest.mark.parametrize("content", CUT_OFF.values(), ids=CUT_OFF)
def test_a_note_of_the_last_recording_that_was_cut_off_is_not_missed(
    noxfile: ModuleType, checkout: Path, content: bytes
) -> None:
    (checkout / "build" / "this-record").write_bytes(content)
    assert noxfile.record_to_show() == "gpu"


@pytest.mark.parametrize("content", [None, *CUT_OFF.values()], ids=["missing", *CUT_OFF])
def test_a_note_of_a_build_that_was_cut_off_is_that_of_no_finished_build(
    noxfile: ModuleType, checkout: Path, content: bytes | None
) -> None:
    def write(*_: str) -> None:
        Path("build/doctrees").mkdir(exist_ok=True)
        if content is not None:
            Path("build/doctrees/compile-guide.json").write_bytes(content)

    with pytest.raises(noxfile.Refusal, match="before the site was finished"):
        noxfile.build(type("Session", (), {"run": staticmethod(write)})(), "python", "cpu")


# Locks


def check_locks(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "requirements/locks.py", "check"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_the_locks_are_current(locks: Path) -> None:
    assert check_locks(locks) == (0, "")


def outdated(*names: str) -> tuple[int, str]:
    return 1, f"Not current: {', '.join(names)} in requirements/. Run `nox -s lock` and commit the result.\n"


def test_a_changed_wish_makes_the_locks_that_depend_on_it_outdated(locks: Path) -> None:
    wishes = locks / "pyproject.toml"
    wishes.write_text(wishes.read_text().replace('"sphinx-copybutton"', '"sphinx-copybutton>=0.5"'))
    assert check_locks(locks) == outdated("docs")
    wishes.write_text(wishes.read_text().replace('"rich>=14"', '"rich>=15"'))
    there = {path.stem for path in (locks / "requirements").glob("*.txt")}
    assert check_locks(locks)[1].count(",") == len(there) - 1


def test_a_setting_that_no_lock_depends_on_leaves_them_current(locks: Path) -> None:
    wishes = locks / "pyproject.toml"
    before = wishes.read_text()
    wishes.write_text(before.replace("line-length = 120", "line-length = 100"))
    assert wishes.read_text() != before
    assert check_locks(locks) == (0, "")


def test_a_lock_that_was_edited_or_deleted_is_outdated(locks: Path) -> None:
    lock = locks / "requirements" / "tests.txt"
    lock.write_text(lock.read_text().replace("pytest==9", "pytest==8"))
    (locks / "requirements" / "lint.txt").unlink()
    assert check_locks(locks) == outdated("tests", "lint")


def test_locks_that_are_installed_together_agree_and_every_file_has_a_hash() -> None:
    pins: dict[tuple[str, str], set[str]] = {}
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        for entry in lock.read_text().replace("\\\n", " ").splitlines()[1:]:
            requirement, _, hashes = entry.partition("--hash=sha256:")
            assert hashes
            pin, _, marker = requirement.partition(";")
            name, _, version = pin.strip().partition("==")
            pins.setdefault((name, marker.strip()), set()).add(version)
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_no_file_names_a_package_registry() -> None:
    names = ["pypi org", "pythonhosted org", "npmjs org", "npmjs com", "deb debian org", "anaconda org"]
    hosts = [name.replace(" ", ".").encode() for name in names]  # in pieces, for this is a file too
    made = {"build", "__pycache__", *(p.name for p in ROOT.glob(".*") if p.is_dir() and p.name != ".ci")}
    files = [p for p in ROOT.rglob("*") if p.is_file() and not made & set(p.relative_to(ROOT).parts)]
    assert {p.name for p in files} >= {"pyproject.toml", "README.md", "docs.txt", "run"}
    assert [str(p) for p in files if any(host in p.read_bytes() for host in hosts)] == []
