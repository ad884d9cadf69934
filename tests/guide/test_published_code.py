"""Published code: what its packages compile, files of results, and how they stand on pages."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import msgspec
import pytest
from conftest import make_entry, make_record
from guide import ROOT
from site_builds import build, machine, put_records, write

from compile_guide.records.schema import Settings
from published_code import originals, reports
from published_code.__main__ import main, scripts_of
from published_code.functions import CASES, Case, Make
from published_code.observing import agreement, inputs_of, observe
from published_code.originals import Original
from published_code.packages import PACKAGES, Published, look, uses_in
from published_code.programs import PROGRAMS
from published_code.results import (
    Package,
    Reason,
    Report,
    Results,
    ResultsError,
    Seen,
    Use,
    WatchedFunction,
    add,
    load,
    save,
)

PART = 'extensions.append("_ext.published_code")\n'
RECORD = make_record(make_entry("lm-top-p"), make_entry("program-greedy"))
SEEN = (
    Seen("lm-top-p", "float32 (1, 32000), 0.9", "the same bits", "state", 4, 3,
         (Reason("first call", 1), Reason("argument 2: value 0.9 → 0.8", 1),
          Reason("argument 1: shape (1, 9) → (2, 9); argument 3: shape (9,) → (8,)", 1))),
    Seen("program-greedy", "2 layers", "within rounding: up to 1e-07 of the largest value"),
)  # fmt: skip
STEP = WatchedFunction(
    "train.step", "mlx_lm/tuner/trainer.py:247", 12, 4, 0, 0, 464, 0.25, 0.28,
    (Reason("argument 1[0]: shape (4, 65) → (4, 97)", 2), Reason("first call", 1)), (Reason("", 8),), ("build all state",),
)  # fmt: skip
INLINED = WatchedFunction("silu", "mlx/nn:1", 8, 0, 8, 0, 0, 0.0, 0.02, (Reason("run inside", 8),), (), ())
RESULTS = Results(
    RECORD,
    (Package("mlx-lm", "0.32.2", (Use("mlx_lm/a.py", 3, "swiglu", "shapeless"), Use("mlx_lm/b.py", 9, "step", "state"))),
     Package("mlx-vlm", None), Package("keras-nightly", "3.16.0")),
    SEEN,
    (Report("fine-tune", "mlx-lm 0.32.2", 26.3, (STEP, INLINED)),),
)  # fmt: skip


# What a package compiles -----------------------------------------------------------------------------------

SOURCE = """
from functools import partial
import mlx.core as mx
from mlx.core import compile as c

@mx.compile
def plain(x): return x

@partial(mx.compile, shapeless=True)
def gate(x): return x

@partial(mx.compile, inputs=mx.random.state, outputs=mx.random.state)
def sample(x): return x

step = mx.compile(make(1), state, state, True)
other = c(plain, shapeless=False)
model.compile(loss)
re.compile("mx.compile(")
"""


def test_each_use_is_found_with_its_line_its_function_and_how_it_is_compiled() -> None:
    found = [(use.line, use.name, use.how) for use in uses_in(SOURCE, "a.py")]
    assert found == [
        (6, "plain", "plain"),
        (9, "gate", "shapeless"),
        (12, "sample", "state"),
        (15, "make(1)", "shapeless and state"),
        (16, "plain", "plain"),
    ]


def test_an_installed_package_is_read_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {
        "pack/__init__.py": "raise RuntimeError\n",
        "pack/deep/ops.py": SOURCE,
        "pack/tests/test_ops.py": SOURCE,
        "pack-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: pack\nVersion: 1.2\n",
    })  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    found = look(Published("pack", "pack", "a package"))
    assert (found.version, {use.file for use in found.uses}, len(found.uses)) == ("1.2", {"pack/deep/ops.py"}, 5)


def test_a_package_that_is_missing_has_no_version_and_no_uses() -> None:
    assert look(Published("no-such-package", "no_such_package", "nothing")) == Package("no-such-package", None)


# What a function does --------------------------------------------------------------------------------------


def kept(function: str) -> Original:
    return next(one for one in originals.KEPT if one.plain.__name__ == function)


def test_the_plain_function_behind_a_compiled_one_is_kept_with_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import mlx.core as mx\nfast = mx.compile(lambda x: 2 * x, shapeless=True)\nslow = abs\n"
    (tmp_path / "kept_here.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    compiler = mx.compile
    found = originals.find("kept_here:fast")
    assert (found.plain(3), found.compiled(mx.array(3)).item(), found.how) == (6, 6, "shapeless")
    assert mx.compile is compiler
    with pytest.raises(LookupError, match="kept_here:slow is no compiled function"):
        originals.find("kept_here:slow")


def test_traces_are_counted_and_reasons_named_over_the_calls_of_a_case() -> None:
    def body(x: mx.array, number: float) -> mx.array:
        return x * number

    x = mx.ones(4)
    calls = [(x, 1.0), (x, 1.0), (x, 2.0), (x[:2], 1.0)]
    plain = [body(*args) for args in calls]
    case = Case("case", "pack", "module:body", lambda make: calls)
    seen = observe(case, Original(mx.compile(body), body), calls, plain, plain)
    assert (seen.calls, seen.traces, seen.result, seen.inputs) == (4, 3, "the same bits", "float32 (4,), 1.0")
    assert [reason.text for reason in seen.reasons] == [
        "first call", "argument 2: value 1.0 → 2.0", "argument 1: shape (4,) → (2,)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (mx.array([1.0, 2.0]), "the same bits"),
        (mx.array([1.0, 2.000002]), "within rounding: up to 1e-06 of the largest value"),
        (mx.array([1.0, 3.0]), "call 2 of 2 differs: value 0 differs: values that differ by up to 1, first 2 and 3"),
    ],
)
def test_results_agree_in_all_bits_or_within_rounding_or_not(other: mx.array, words: str) -> None:
    one = mx.array([1.0, 2.0])
    assert agreement([one, one], [one, other]) == words


def test_like_inputs_are_told_once() -> None:
    assert inputs_of((mx.ones((2, 3)), mx.ones((2, 3)), 0.5, True)) == "2 × float32 (2, 3), 0.5, True"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_first_call_of_a_case_is_repeated_and_others_follow(case: Case) -> None:
    calls = [inputs_of(args) for args in case.calls(Make(large=False))]
    assert len(calls) > 2
    assert calls[0] == calls[1]


def test_every_case_and_program_has_a_name_of_its_own_and_a_package_that_is_looked_at() -> None:
    everything = (*CASES, *PROGRAMS)
    assert len({one.name for one in everything}) == len(everything)
    assert {one.package for one in everything} <= {package.name for package in PACKAGES}


def test_every_report_has_its_program_and_every_program_a_text() -> None:
    scripts = {script.stem: script for script in reports.FOLDER.glob("*.py")}
    assert scripts.keys() == reports.PROGRAMS.keys()
    assert all(ast.get_docstring(ast.parse(script.read_text())) for script in scripts.values())


def test_a_report_names_no_folder_of_the_machine_that_made_it() -> None:
    counts = dict.fromkeys(("calls", "traces", "inlined", "eager", "kernels"), 1)
    function = {"name": "f", "file": "/root/x/site-packages/mlx_lm/a.py", "line": 3, "tracing_s": 0.1, "total_s": 0.2}
    function |= {**counts, "reasons": {"first call": 1}, "findings": {"": 1}, "advice": []}
    made = reports.report_of("name", "mlx-lm 0.1", {"seconds": 1.0, "functions": [function]})
    assert [one.place for one in made.functions] == ["mlx_lm/a.py:3"]


# The command -----------------------------------------------------------------------------------------------


def test_the_command_refuses_another_backend_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    wanted = "cuda" if mx.default_device() == mx.Device(mx.cpu) else "cpu"
    argv = [sys.executable, "-m", "published_code", "--out", str(tmp_path / "out.json"), "--backend", wanted]
    ended = subprocess.run(argv, cwd=ROOT / "docs", capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"published_code: {wanted} was asked for, but MLX")
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "lm-swigloo"], "error: no 'lm-swigloo'; there are lm-swiglu, "),
        (
            ["--budget", "nan"],
            "error: a budget is between 0.001 and 3600 seconds, and there are between 1 and 32 processes",
        ),
        (
            ["--processes", "0"],
            "error: a budget is between 0.001 and 3600 seconds, and there are between 1 and 32 processes",
        ),
        (["--out", "/no/such/folder/file.json"], "error: /no/such/folder is no folder that can be written to"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_measured(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["published_code", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("only", "scripts"),
    [
        (["lm-swiglu"], ["published_functions"]),
        (["program-top-p"], ["published_programs"]),
        (["lm-swiglu", "program-top-p"], ["published_functions", "published_programs"]),
        (None, ["published_functions", "published_programs"]),
    ],
)
def test_only_the_scripts_that_have_what_is_named_are_started(only: list[str] | None, scripts: list[str]) -> None:
    assert [script.stem for script in scripts_of(only)] == scripts


@pytest.mark.parametrize("options", [[], ["--only", "lm-swiglu"]])
def test_a_file_that_is_something_else_is_not_overwritten(options: list[str], tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    file.write_text("my notes")
    argv = [sys.executable, "-m", "published_code", "--out", str(file), *options]
    ended = subprocess.run(argv, cwd=ROOT / "docs", capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "published_code: notes.json: Expecting value: line 1 column 1 (char 0)\n"
    assert file.read_text() == "my notes"


# Files -----------------------------------------------------------------------------------------------------


def test_what_is_measured_again_takes_the_place_of_what_was_and_the_rest_is_kept() -> None:
    first, *rest = RESULTS.seen
    again = msgspec.structs.replace(first, result="differs")
    entry = make_entry("new", example="published_functions")
    record = msgspec.structs.replace(RESULTS.record, comparisons=(entry,), created="2030-01-01T00:00:00Z")
    added = add(RESULTS, msgspec.structs.replace(RESULTS, record=record, seen=(again,), reports=()))
    assert {one.name: one.result for one in added.seen} == {one.name: one.result for one in (*rest, again)}
    assert {one.name for one in added.record.comparisons} == {"new", *(one.name for one in RESULTS.record.comparisons)}
    assert added.record.created == "2030-01-01T00:00:00Z"
    assert added.reports == RESULTS.reports


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"packages": ()}, "with other packages"),
        ({"record": msgspec.structs.replace(RESULTS.record, id="cpu-other")}, "on another machine"),
        (
            {"record": msgspec.structs.replace(RESULTS.record, settings=Settings(9.0, 6, 0.02))},
            "with another budget or number of processes",
        ),
    ],
)
def test_results_that_were_made_otherwise_are_not_put_together(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ResultsError, match=f"^the file there was made {words}: name another with --out"):
        add(RESULTS, msgspec.structs.replace(RESULTS, **changes))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    save(RESULTS, tmp_path / "new" / "results.json")
    assert load(tmp_path / "new" / "results.json") == RESULTS


def changed(**changes: object) -> str:
    folder = {"published_code": 1, **msgspec.to_builtins(RESULTS)}
    return json.dumps(folder | changes)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "published_code isn't 1: no results of this version"),
        ('{"schema": 1}', "published_code isn't 1: no results of this version"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (changed(record=None), "record: Expected `object`, got `null`"),
        (changed(more=1), "Object contains unknown field `more`"),
        (changed(seen=[{"name": "x"}]), "Object missing required field `inputs` - at `$.seen[0]`"),
        (changed(packages=[{"name": "a\u202eb", "version": None}]), None),
        ("[" * 200_000, "nested too deeply"),
    ],
    ids=["list", "record", "cut", "no record", "unknown", "missing", "control", "deep"],
)
def test_a_foreign_file_is_refused_in_one_line(tmp_path: Path, text: str, problem: str | None) -> None:
    file = tmp_path / "strange.json"
    file.write_text(text)
    with pytest.raises(ResultsError) as caught:
        load(file)
    said = str(caught.value)
    assert said.startswith("strange.json: ") and "\n" not in said and said.isascii()
    assert problem is None or said == f"strange.json: {problem}"


# Pages -----------------------------------------------------------------------------------------------------

PAGE = """# T

```{published-packages}
```
```{published-functions}
```
```{published-programs}
```
```{watch-report} fine-tune
```
"""


def site_with(tmp_path: Path, *results: Results) -> object:
    write(tmp_path, {"docs/index.md": PAGE})
    put_records(tmp_path, RECORD)
    for one in results:
        save(one, tmp_path / "docs" / "published_code" / "results" / f"{one.record.id}.json")
    return build(tmp_path, settings=PART)


def test_a_site_without_results_says_that_nothing_was_run(tmp_path: Path) -> None:
    site = site_with(tmp_path)
    assert site.text().count("Not run here.") == 4
    assert site.warnings == []


def test_the_page_tells_ratio_result_and_traces_of_what_was_measured_and_names_what_is_missing(tmp_path: Path) -> None:
    site = site_with(tmp_path, RESULTS)
    text = site.text()
    assert "mlx-lm: language models: generation, fine-tuning 0.32.2 2 0 1 1" in text
    assert "mlx-vlm: models of images and text not installed here — — — —" in text
    why = "argument 2: value 0.9 → 0.8; argument 1: shape (1, 9) → (2, 9) and 1 more"
    assert f"state 3 in 4 calls: {why}" in text
    ratio = text.partition("apply_top_p of mlx-lm: float32 (1, 32000), 0.9 ")[2].partition(" the same bits ")[0]
    assert re.fullmatch(r"[\d.]+× \([\d.–]+\)", ratio)
    assert "geglu of mlx-vlm — not installed here — — — —" in text
    assert "swiglu of mlx-lm — not measured here — — — —" in text
    assert "mlx-lm: generation, greedy; 2 layers" in text
    one = "1 function, compiled against plain: 1 faster. 1 return the same bits, none differ within rounding, none beyond."
    assert one in text
    assert site.warnings == []


def test_a_report_tells_where_it_was_made_and_leaves_out_what_ran_inside_other_traces(tmp_path: Path) -> None:
    text = site_with(tmp_path, RESULTS).text()
    assert "with mlx-lm 0.32.2." in text
    assert (
        "train.step : 2 × argument 1[0]: shape (4, 65) → (4, 97) and the like 1 × first call check: right (8 calls)"
        in text
    )
    assert "silu :" not in text


def test_results_of_a_machine_without_a_record_are_warned_of(tmp_path: Path) -> None:
    other = machine("cpu-other", "cpu", make_entry("lm-top-p"))
    site = site_with(tmp_path, replace_record(RESULTS, other))
    assert "published_code/results/cpu-other.json: no record is of that machine" in site.warnings[0]


def replace_record(results: Results, record: object) -> Results:
    return msgspec.structs.replace(results, record=record)


def test_a_broken_file_of_results_ends_the_build_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"docs/published_code/results/a.json": "{}"})
    with pytest.raises(Exception, match=r"a\.json: published_code isn't 1"):
        site_with(tmp_path)
