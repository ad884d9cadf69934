"""The other commands: copy, compare, machine; their help and their errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_entry, make_record

from compile_guide import __main__
from compile_guide import examples as copying
from compile_guide.records import diff as report
from compile_guide.records import schema as record


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = __main__.main(list(argv))
    out = capsys.readouterr()
    return status, out.out, out.err


@pytest.mark.parametrize("command", ["", "record", "claims", "compare", "export", "check-record", "copy", "machine"])
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        __main__.main([*command.split(), "--help"])
    assert caught.value.code == 0 and "usage: python -m compile_guide" in capsys.readouterr().out


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
    record.save(make_record(same, up, make_entry("old")), tmp_path / "a.json")
    record.save(make_record(same, faster, make_entry("new")), tmp_path / "b.json")
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
    assert status == 2 and err == "compile_guide: a.json: Object missing required field `schema`\n"


def test_a_lower_ratio_is_called_lower() -> None:
    a, b = make_record(make_entry()), make_record(make_entry(ratios=(1, 1, 1, 1, 1, 1.1)))
    assert [row.verdict for row in report.rows(a, b)] == ["lower"]


def test_too_few_processes_decide_nothing() -> None:
    a, b = make_record(make_entry()), make_record(make_entry(ratios=(1, 1)))
    assert [row.verdict for row in report.rows(a, b)] == ["no interval"]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text("from compile_guide.timing import compare\n")
    return path


def test_copy_brings_the_script_and_the_helpers_it_imports(script: Path, tmp_path: Path) -> None:
    written = copying.copy_example(script, tmp_path / "to")
    assert [str(p.relative_to(tmp_path / "to")) for p in written] == [
        "mine.py",
        "compile_guide/__init__.py",
        "compile_guide/timing.py",
    ]
    assert all(p.read_bytes() for p in written)


def test_copy_twice_changes_nothing(script: Path, tmp_path: Path) -> None:
    assert copying.copy_example(script, tmp_path / "to") == copying.copy_example(script, tmp_path / "to")


def test_copy_refuses_to_overwrite_work_and_writes_nothing(script: Path, tmp_path: Path) -> None:
    (tmp_path / "to" / "compile_guide").mkdir(parents=True)
    (tmp_path / "to" / "compile_guide" / "timing.py").write_text("# mine")
    with pytest.raises(copying.CopyError, match=r"timing\.py is there already and differs"):
        copying.copy_example(script, tmp_path / "to")
    assert not (tmp_path / "to" / "mine.py").exists()


def test_copy_into_a_file_says_what_is_wrong(script: Path, tmp_path: Path) -> None:
    with pytest.raises(copying.CopyError, match="can't write"):
        copying.copy_example(script, script)


def test_copy_of_an_unknown_example_names_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "copy", "nothing", str(tmp_path))
    assert status == 2 and "no example 'nothing'; there are: " in err and "gelu_speedup" in err
