"""``compile-guide watch PROGRAM``: a program runs as it would by itself, and there is a report at its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from guide import ROOT

from compile_guide.__main__ import main

pytestmark = pytest.mark.usefixtures("interrupts")
USES_MLX = """
import mlx.core as mx
import mlx.nn as nn

@mx.compile
def step(x, n):
    return nn.gelu(x) * n

for n in (1, 2, 1):
    mx.eval(step(mx.ones(3), n))
"""
WORLD = """
import sys, os, pickle, signal, __main__
print(__name__, __file__, sys.argv, sys.path[0], __main__.__dict__ is globals(), sorted(set(globals()) - {"__annotations__", "__cached__"}))
print([signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)], signal.getsignal(signal.SIGINT).__name__)
print(sys.stdout.errors, sys.stderr.errors, os.environ.get("PYTHONUTF8"), os.environ.get("PYTHONPATH"), sys.stdin.read())
class Thing: pass
print(type(pickle.loads(pickle.dumps(Thing()))) is Thing)
"""


def run(*argv: str, folder: Path, watch: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program under Python, watched or by itself."""
    command = [sys.executable, *(["-m", "compile_guide", "watch"] if watch else []), *argv]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **more.pop("env", {})}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, **more)


def both(*argv: str, folder: Path, **more: Any) -> list[subprocess.CompletedProcess[str]]:
    return [run(*argv, folder=folder, watch=watch, **more) for watch in (True, False)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], dict[str, Any], str]:
    """What is told of a small program that uses MLX."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.py").write_text(USES_MLX, encoding="utf-8")
    options = ("--check", "--measure", "--json", "out.json", "--html", "out.html")
    done = run(*options, "program.py", "--json", "mine", folder=folder)
    return done, json.loads((folder / "out.json").read_text("utf-8")), (folder / "out.html").read_text("utf-8")


def test_the_report_names_each_function_its_place_and_its_reasons(report: Any) -> None:
    done, data, _ = report
    assert done.returncode == 0 and done.stdout == ""
    step, gelu = sorted(data["functions"], key=lambda function: -function["traces"])
    assert (step["name"], step["line"], step["calls"], step["traces"]) == ("step", 5, 3, 2)
    assert step["reasons"] == {"first call": 1, "argument 2: value 1 → 2": 1}
    assert (gelu["name"], gelu["traces"], gelu["inlined"], gelu["calls"]) == ("gelu", 0, 2, 2)
    assert Path(step["file"]).name == "program.py" and data["program"] == ["program.py", "--json", "mine"]
    assert "argument 2: value 1 → 2" in done.stderr and "docs/recompiles.md" in done.stderr


def test_the_report_says_what_was_checked_and_measured(report: Any) -> None:
    done, data, _ = report
    step = next(function for function in data["functions"] if function["name"] == "step")
    assert step["findings"] == {"": 3} and step["kernels"] == 2
    assert step["measured"].endswith(" a call") and f"compiled against plain: {step['measured']}" in done.stderr


def test_the_page_holds_the_report_and_asks_for_nothing_else(report: Any) -> None:
    _, data, page = report
    raw = page.partition('<script type="application/json" id="report">')[2].partition("</script>")[0]
    assert json.loads(raw) == data
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "") and "src=" not in page


def test_text_of_a_program_is_no_markup_in_the_page(tmp_path: Path) -> None:
    from compile_guide.watching.launcher import as_html

    page = as_html({"functions": [{"name": "</script><b>"}]})
    assert "</script><b>" not in page and "\\u003c/script>\\u003cb>" in page


@pytest.mark.parametrize("form", ["script", "module", "folder", "zip"])
def test_a_program_finds_the_world_as_python_makes_it(tmp_path: Path, form: str) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "__main__.py").write_text(WORLD, encoding="utf-8")
    (tmp_path / "alone.py").write_text(WORLD, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.write(tmp_path / "alone.py", "__main__.py")
    argv = {"script": ["alone.py"], "module": ["-m", "alone"], "folder": ["place"], "zip": ["packed.zip"]}[form]
    watched, alone = both(*argv, "-x", "--json", "1", folder=tmp_path, input="typed")
    assert (watched.stdout, watched.returncode) == (alone.stdout, 0) and "typed" in watched.stdout


@pytest.mark.parametrize(
    "end",
    ["sys.exit(3)", "sys.exit('why')", "sys.exit()", "raise ValueError('no')", "1 +", "import none.such", "os._exit(4)",
     "os.kill(os.getpid(), 15)", "signal.signal(15, lambda *_: sys.exit(7)); os.kill(os.getpid(), 15)",
     "atexit.register(print, 'at exit'); threading.Timer(0.2, print, ['late']).start()",
     "from compile_guide import CompileGuideError; raise CompileGuideError('mine')", "open('none')",
     "sys.excepthook = lambda *_: print('own hook'); raise OSError(5, 'bad')", "sys.stderr.close()"],
)  # fmt: skip
def test_a_program_ends_as_it_would_by_itself(tmp_path: Path, end: str) -> None:
    text = f"import atexit, os, signal, sys, threading\nprint('begin')\ndef last():\n    exec({end!r})\nlast()\nprint('end')\n"
    (tmp_path / "program.py").write_text(text, encoding="utf-8")
    watched, alone = both("program.py", folder=tmp_path)
    assert (watched.stdout, watched.returncode) == (alone.stdout, alone.returncode)
    assert watched.stderr.startswith(alone.stderr)


def test_after_ctrl_c_there_is_a_report_and_the_end_is_that_of_an_interrupted_program(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        USES_MLX + "\nimport time\nprint('ready', flush=True)\ntime.sleep(60)\n", "utf-8"
    )
    command = [sys.executable, "-m", "compile_guide", "watch", "program.py"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert err.startswith("Traceback") and "KeyboardInterrupt" in err and "value 1 → 2" in err


def test_what_is_compiled_in_child_processes_is_added_if_asked_for(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(USES_MLX, encoding="utf-8")
    text = (
        "import multiprocessing, subprocess, sys\nimport work\n"
        "if __name__ == '__main__':\n"
        "    subprocess.run([sys.executable, 'work.py'], check=True)\n"
        "    process = multiprocessing.get_context('spawn').Process(target=print, args=('child',))\n"
        "    process.start(); process.join()\n"
    )
    (tmp_path / "program.py").write_text(text, encoding="utf-8")
    for options, wanted in ((["--children"], 9), ([], 3)):
        done = run(*options, "--json", "out.json", "program.py", folder=tmp_path)
        assert (done.stdout, done.returncode) == ("child\n", 0)
        assert done.stderr.startswith("function ")
        functions = json.loads((tmp_path / "out.json").read_text("utf-8"))["functions"]
        assert sum(function["calls"] for function in functions if function["name"] == "step") == wanted


def test_a_site_hook_of_the_program_runs_in_its_children_too(tmp_path: Path) -> None:
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text("print('hook')", encoding="utf-8")
    (tmp_path / "program.py").write_text(
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import sys; print(sys.path[0])'])\n", "utf-8"
    )
    env = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(tmp_path / "hooks")])}
    watched = run("--children", "program.py", folder=tmp_path, env=env)
    assert watched.stdout == "hook\nhook\n\n"


def test_a_forked_process_of_the_program_reports_nothing_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import os\nif not os.fork():\n    raise SystemExit\nos.wait()\n", "utf-8")
    done = run("program.py", folder=tmp_path)
    assert done.returncode == 0 and done.stderr.count("function") == 2


def test_mistakes_are_told_before_the_program_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (
        ["watch"],
        ["watch", "--json", str(tmp_path / "none" / "x.json"), "p.py"],
        ["watch", "--html", str(tmp_path), "p"],
    ):
        assert main(argv) == 2
        assert capsys.readouterr().err.startswith("compile-guide: ")


def test_a_program_that_is_missing_is_one_line(tmp_path: Path) -> None:
    done = run("none.py", folder=tmp_path)
    assert done.returncode == 2 and "No such file or directory: none.py" in done.stderr


def test_watching_costs_little(tmp_path: Path) -> None:
    import mlx.core as mx

    from compile_guide.watching.compiler import Compiler

    plain, watched, x = mx.compile(abs), Compiler()(abs), mx.ones(3)

    def seconds(fun: Any) -> float:
        times = []
        for _ in range(50):
            start = time.perf_counter()
            for _ in range(100):
                fun(x)
            times.append((time.perf_counter() - start) / 100)
        return min(times)

    for fun in (plain, watched):
        fun(x)
    assert seconds(watched) - seconds(plain) < 10e-6
