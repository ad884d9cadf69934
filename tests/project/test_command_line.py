"""The other commands: copy, compare, machine; their help and their errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_entry, make_record, small_disk
from guide import PACKAGE

from compile_guide import __main__
from compile_guide.examples import ExampleError, copy_example, files_of
from compile_guide.records.diff import rows
from compile_guide.records.schema import save


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = __main__.main(list(argv))
    out = capsys.readouterr()
    return status, out.out, out.err


@pytest.mark.parametrize("command", ["", "record", "claims", "compare", "export", "check-record", "copy", "machine"])
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        __main__.main([*command.split(), "--help"])
    assert caught.value.code == 0 and "usage: compile-guide" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["record", "--budget", "0"], "argument --budget: 0: seconds between 0 and 3600"),
        (["record", "--budget", "nan"], "argument --budget: nan: seconds between 0 and 3600"),
        (["record", "--processes", "99"], "argument --processes: 99: between 1 and 32"),
        (["record", "--processes", "two"], "argument --processes: invalid"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_option_is_refused(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        __main__.main(argv)
    assert caught.value.code == 2 and message in capsys.readouterr().err


def test_machine_prints_facts_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert "copy bandwidth" in run(capsys, "machine")[1]
    assert json.loads(run(capsys, "machine", "--json", "--check")[1])["cores"] >= 1


def test_compare_puts_two_records_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same, up = make_entry("same"), make_entry("up")
    faster = make_entry("up", ratios=(2.9, 3, 3, 3, 3, 3.1))
    save(make_record(same, up, make_entry("old")), tmp_path / "a.json")
    save(make_record(same, faster, make_entry("new")), tmp_path / "b.json")
    status, out, _ = run(capsys, "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert status == 0
    verdicts = {line.split()[0]: line.rpartition("  ")[2] for line in out.partition("\n\n")[0].splitlines()[4:]}
    assert verdicts == {"same": "no change", "up": "higher", "old": "only in A", "new": "only in B"}


def test_commands_that_read_records_need_no_mlx(record_file: Path) -> None:
    code = (
        "import sys; sys.modules['mlx'] = None; from compile_guide.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    for command in (["compare", record_file, record_file], ["export", record_file, "--format", "pyperf"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_compare_refuses_what_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("{}")
    status, _, err = run(capsys, "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert status == 2 and err == "compile-guide: a.json: Object missing required field `schema`\n"


def test_a_lower_ratio_is_called_lower() -> None:
    a, b = make_record(make_entry()), make_record(make_entry(ratios=(1, 1, 1, 1, 1, 1.1)))
    assert [row.verdict for row in rows(a, b)] == ["lower"]


def test_too_few_processes_decide_nothing() -> None:
    a, b = make_record(make_entry()), make_record(make_entry(ratios=(1, 1)))
    assert [row.verdict for row in rows(a, b)] == ["no interval"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("option", ["", "--markdown"])
def test_a_comparison_can_be_printed_in_any_encoding(encoding: str, option: str, tmp_path: Path) -> None:
    for name, ratio in (("a", 2.0), ("b", 3.0)):
        save(make_record(make_entry("gelu", ratios=(ratio, ratio * 1.01) * 3)), tmp_path / f"{name}.json")
    argv = [sys.executable, "-m", "compile_guide", "compare", "a.json", "b.json", *option.split()]
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(PACKAGE.parent)}
    ended = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    text = ended.stdout.decode(encoding)
    assert ("2.01x -> 3.02x (+50 %)" if encoding == "ascii" else "2.01× -> 3.02× (+50\u00a0%)") in text


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text("from compile_guide.timing import compare\n")
    return path


def test_copy_brings_the_script_and_the_helpers_it_imports(script: Path, tmp_path: Path) -> None:
    written = copy_example(script, tmp_path / "to")
    assert [str(p.relative_to(tmp_path / "to")) for p in written] == [
        "mine.py",
        "compile_guide/__init__.py",
        "compile_guide/comparison.py",
        "compile_guide/formatting.py",
        "compile_guide/timing.py",
    ]
    assert all(p.read_bytes() for p in written)


def test_copy_twice_changes_nothing(script: Path, tmp_path: Path) -> None:
    assert copy_example(script, tmp_path / "to") == copy_example(script, tmp_path / "to")


def test_copy_refuses_to_overwrite_work_and_writes_nothing(script: Path, tmp_path: Path) -> None:
    (tmp_path / "to" / "compile_guide").mkdir(parents=True)
    (tmp_path / "to" / "compile_guide" / "timing.py").write_text("# mine")
    with pytest.raises(ExampleError, match=r"timing\.py is there already and differs"):
        copy_example(script, tmp_path / "to")
    assert not (tmp_path / "to" / "mine.py").exists()


def test_copy_into_a_file_says_what_is_wrong(script: Path) -> None:
    with pytest.raises(ExampleError, match=f"can't write {script}/to: Not a directory"):
        copy_example(script, script / "to")


def test_copy_where_a_helpers_folder_can_not_be_made_leaves_nothing(script: Path, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "compile_guide").write_text("in the way")
    with pytest.raises(ExampleError, match=r"can't write .*compile_guide"):
        copy_example(script, tmp_path / "to")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["compile_guide"]


def test_copy_onto_a_full_disk_leaves_nothing_and_names_the_file(script: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16):
        with pytest.raises(ExampleError, match=r"can't write .*/compile_guide/.*: No space left on device"):
            copy_example(script, tmp_path / "disk" / "to")
        assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_copy_does_not_write_through_what_is_no_file(kind: str, script: Path, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    if kind == "link":
        (tmp_path / "to" / "mine.py").symlink_to(tmp_path / "elsewhere.py")
    else:
        os.mkfifo(tmp_path / "to" / "mine.py")
    with pytest.raises(ExampleError, match=r"mine\.py is there already and differs"):
        copy_example(script, tmp_path / "to")
    assert not (tmp_path / "elsewhere.py").exists()


@pytest.mark.parametrize(
    ("text", "helpers"),
    [
        ("import os\n", []),
        ("    from compile_guide.comparison import Run\n", ["__init__", "comparison", "formatting"]),
        ("import compile_guide.tracing\nfrom compile_guide import formatting\n", ["__init__", "formatting", "tracing"]),
        ("from compile_guide.recorder import measure\nfrom compile_guide.none import x\n", []),
    ],
)
def test_helpers_follow_the_imports_of_helpers_and_nothing_else(text: str, helpers: list[str], tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(text, encoding="utf-8")
    assert list(files_of(script)) == ["mine.py", *(f"compile_guide/{name}.py" for name in helpers)]


def test_an_example_needs_the_modules_and_files_beside_it_that_it_names(script: Path, tmp_path: Path) -> None:
    strings = f'"data.csv", "numbers", "../{tmp_path.name}/unnamed.txt", "/etc/hostname", ".hidden", "none.txt"'
    beside = {"one.py": 'import two\nname = "two.txt"', "two.py": "", "two.txt": "", "data.csv": "", "unnamed.txt": ""}
    more = {"package/__init__.py": "", "package/x.py": "", "numbers/a/b.txt": "", ".hidden": ""}
    for name, text in {**beside, **more}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    script.write_text(f"import one\nfrom package import x\n{strings}\n")
    wanted = {
        "mine.py",
        "one.py",
        "two.py",
        "two.txt",
        "data.csv",
        "package/__init__.py",
        "package/x.py",
        "numbers/a/b.txt",
    }
    assert files_of(script).keys() == wanted


def test_copy_of_an_unknown_example_names_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "copy", "nothing", str(tmp_path))
    assert status == 2 and "no example 'nothing'; there are: " in err and "gelu_speedup" in err
