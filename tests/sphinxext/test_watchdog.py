"""Examples in a build: each starts from the same world, and one that misbehaves costs itself alone."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from guide import PATHS
from leftovers import left_behind
from quick_compiler import with_quick_compiler
from site_builds import HEAD, build, conf, put_gallery, write

from compile_guide.records.record_set import NOT_YET
from compile_guide.sphinxext.gallery import NOTE

LIMITS = "import compile_guide.sphinxext.watchdog as own\nown.LIMIT_S, own.THREADS_S = 3, 1\n"
PARALLEL = "sphinx_gallery_conf['parallel'] = 2\n"
WAYS = [
    pytest.param("", id="one after the other"),
    pytest.param(
        PARALLEL,
        id="two at a time",
        marks=pytest.mark.skipif(not importlib.util.find_spec("joblib"), reason="sphinx-gallery needs joblib for it"),
    ),
]
GOOD = "print('came to', 'its end')\n"
SLEEPS = "import time\ntime.sleep(600)\n"
FAILS = {
    "exits": ("import sys\nsys.exit(0)", "RuntimeError: the example ended itself before its last line (exit status 0)"),
    "exits_quietly": ("import os\nos._exit(0)", "RuntimeError: the example ended itself before its last line"),
    "exits_in_c": (
        "import ctypes\nctypes.CDLL(None)._exit(0)",
        "RuntimeError: the example ended itself before its last",
    ),
    "exits_with_3": ("import os\nos._exit(3)", "RuntimeError: exit status 3"),
    "interrupts": ("raise KeyboardInterrupt", "the example ended itself before its last line (KeyboardInterrupt)"),
    "crashes": ("import ctypes\nctypes.string_at(0)", "RuntimeError: killed by SIGSEGV"),
    "kills_itself": ("import os\nos.kill(os.getpid(), 9)", "RuntimeError: killed by SIGKILL"),
    "hangs": (SLEEPS, "RuntimeError: still ran after 3 s and was killed"),
    "hangs_in_c": ("import ctypes\nctypes.CDLL(None).pause()", "RuntimeError: still ran after 3 s and was killed"),
    "breaks_output": ("import sys\nsys.stdout = None", "object has no attribute"),
    "thread_fails": (
        "import threading\nthreading.Timer(0.5, lambda: 1 / 0).start()",
        "RuntimeError: a thread of the example ended with ZeroDivisionError",
    ),
    "thread_goes_on": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()",
        "RuntimeError: a thread of the example still ran 1 s after its last line",
    ),
}
"""Examples that fail, each with the line that names the reason."""
LEAVES = {
    "forks": f"{GOOD}import os\nos.fork()",
    "forks_and_fails": f"{GOOD}import os\nif not os.fork():\n    raise KeyError('of a copy')",
    "leaves_a_copy": f"{GOOD}import os\nif not os.fork():\n    import time\n    time.sleep(600)",
    "leaves_a_daemon": f"{GOOD}import os\nif not os.fork():\n    os.setsid()\n    if not os.fork():\n        import time\n"
    "        time.sleep(600)\n    os._exit(0)",
    "leaves_a_program": f"{GOOD}import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n_ = 0",
    "leaves_a_pool": f"{GOOD}from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()\n"
    "_ = pool.submit(int).result()",
    "leaves_a_file": f"{GOOD}import tempfile\n_ = tempfile.mkdtemp()",
}
"""Examples that come to their end, and leave something behind."""


def example(code: str, title: str = "An example") -> str:
    return HEAD.format(title=title, line="=" * len(title)) + f"\n{code}\n"


def built(folder: Path, settings: str = "") -> subprocess.CompletedProcess[str]:
    """Build as a user does, with a temporary folder of its own."""
    write(folder, {"conf.py": conf(gallery=True, settings=settings)})
    (folder / "temp").mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "sphinx", "-c", str(folder), str(folder / "docs"), str(folder / "out"), "-q"]
    path = os.pathsep.join([*map(str, PATHS), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "TMPDIR": str(folder / "temp"), "PATH": with_quick_compiler(), "PYTHONPATH": path}
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=280, check=False)


def output(folder: Path, name: str) -> str:
    """Return what a page shows as an example's output."""
    page = (folder / "out" / "gallery" / "one" / f"{name}.html").read_text(encoding="utf-8")
    shown = page.partition("sphx-glr-script-out")[2].partition("<pre>")[2].partition("</pre>")[0]
    return html.unescape(shown.replace("<span></span>", ""))


# Each costs itself alone

Hostile = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", params=WAYS)
def hostile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    """One build in which most examples misbehave, each in its own way."""
    folder = tmp_path_factory.mktemp("hostile")
    codes = {**{name: code for name, (code, _) in FAILS.items()}, **LEAVES, "good": GOOD, "z_good": GOOD}
    put_gallery(folder, **{name: example(code, name.capitalize()) for name, code in codes.items()})
    return folder, built(folder, LIMITS + request.param)


@pytest.mark.timeout(300)
def test_an_example_that_misbehaves_in_a_build_costs_itself_alone(
    hostile: Hostile, record_property: Callable[[str, object], None]
) -> None:
    record_property("examples that misbehave in a build", len(FAILS) + len(LEAVES))
    folder, ended = hostile
    assert ended.returncode != 0
    assert f"Unexpected failing examples ({len(FAILS)})" in ended.stderr
    for name in ("good", "z_good", *LEAVES):
        assert "came to its end" in output(folder, name), name
    assert {page.stem for page in (folder / "out" / "gallery" / "one").glob("*.html")} >= {*FAILS, *LEAVES}


@pytest.mark.parametrize("name", FAILS)
def test_an_example_that_fails_as_a_whole_is_named_with_its_reason(name: str, hostile: Hostile) -> None:
    summary = hostile[1].stderr.partition("Unexpected failing examples")[2]
    assert FAILS[name][1] in summary.partition(f"{name}.py")[2].partition(".py ")[0]


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
def test_a_build_leaves_no_process_and_no_file_of_its_examples(hostile: Hostile) -> None:
    left = left_behind(hostile[0] / "temp", hostile[0])
    assert [name for name in left if not name.startswith("sphinx-err-")] == []  # Sphinx's own report of the failure


def test_an_example_that_failed_runs_again_in_the_next_build(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    code = f"import os, pathlib\nif not pathlib.Path({str(switch)!r}).exists():\n    os._exit(0)\n{GOOD}"
    put_gallery(tmp_path, example=example(code))
    assert built(tmp_path).returncode != 0
    switch.touch()
    ended = built(tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "came to its end" in output(tmp_path, "example")


def test_notes_of_an_earlier_build_that_are_no_text_stop_no_build(tmp_path: Path) -> None:
    code = "import mlx.core as mx\nfrom compile_guide.timing import compare\n"
    code += "print(compare('new', mx.exp, mx.compile(mx.exp), mx.ones(2)).name)"
    put_gallery(tmp_path, example=example(code))
    for name in (NOTE, NOT_YET):
        (tmp_path / "docs" / "gallery").mkdir(exist_ok=True)
        (tmp_path / "docs" / "gallery" / name).write_bytes(b"\xff\xfe")
    ended = built(tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert output(tmp_path, "example") == "new\n"


def test_a_failure_that_is_expected_fails_no_build(tmp_path: Path) -> None:
    put_gallery(tmp_path, example=example("import os\nos._exit(0)"))
    expected = "sphinx_gallery_conf['expected_failing_examples'] = ['../gallery/one/example.py']\n"
    ended = built(tmp_path, expected)
    assert (ended.returncode, ended.stderr) == (0, "")


# The same world

STATE = {
    "environment": ("import os\nos.environ['LEAK'] = '1'\nos.environ.pop('HOME', 0)", "sorted(os.environ)"),
    "umask": ("import os\n_ = os.umask(0o077)", "(lambda was: (os.umask(was), was)[1])(os.umask(0))"),
    "working folder": ("import os\nos.chdir('/')", "os.getcwd()"),
    "sys.path": ("import sys\nsys.path.insert(0, '/leak')\nsys.path_hooks.clear()", "(sys.path, len(sys.path_hooks))"),
    "sys.argv": ("sys.argv.append('leak')", "sys.argv[1:]"),
    "modules": ("import json\nsys.modules['leak'] = sys\njson.dumps = None", "('leak' in sys.modules, json.dumps([]))"),
    "builtins": ("import builtins\nbuiltins.sorted_ = sorted", "hasattr(builtins, 'sorted_')"),
    "sys.excepthook": ("sys.excepthook = sys.displayhook = print", "(sys.excepthook is print, sys.displayhook is print)"),
    "recursion limit": ("sys.setrecursionlimit(99_999)", "sys.getrecursionlimit()"),
    "switch interval": ("sys.setswitchinterval(0.5)", "sys.getswitchinterval()"),
    "digits of an int": ("sys.set_int_max_str_digits(0)", "sys.get_int_max_str_digits()"),
    "trace function": ("sys.setprofile(lambda *_: None)", "sys.getprofile()"),
    "garbage collector": ("import gc\ngc.disable()\ngc.set_threshold(1)", "(gc.isenabled(), gc.get_threshold())"),
    "random numbers": ("import random\nrandom.seed(7)", "random.random()"),
    "locale": ("import locale\n_ = locale.setlocale(locale.LC_ALL, 'C')", "locale.setlocale(locale.LC_ALL)"),
    "time zone": ("import time\nos.environ['TZ'] = 'Asia/Tokyo'\ntime.tzset()", "time.timezone"),
    "signal handlers": ("import signal\n_ = signal.signal(signal.SIGINT, signal.SIG_IGN)", "signal.getsignal(2)"),
    "blocked signals": ("_ = signal.pthread_sigmask(0, [signal.SIGUSR1])", "signal.pthread_sigmask(0, [])"),
    "limits": ("import resource\nresource.setrlimit(7, (128, 128))", "resource.getrlimit(7)"),
    "niceness": ("_ = os.nice(3)", "os.nice(0)"),
    "logging": ("import logging\nlogging.disable(50)\nlogging.root.setLevel(1)", "(logging.root.level, logging.root.manager.disable)"),
    "warnings": ("import warnings\nwarnings.simplefilter('error', DeprecationWarning)", "warnings.filters[0][:1]"),
    "decimals": ("import decimal\ndecimal.getcontext().prec = 3", "decimal.getcontext().prec"),
    "socket timeout": ("import socket\nsocket.setdefaulttimeout(1)", "socket.getdefaulttimeout()"),
    "threads": ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()", "threading.active_count()"),
    "stack size": ("_ = threading.stack_size(1 << 20)", "threading.stack_size()"),
    "event loop": ("import asyncio\nasyncio.set_event_loop(asyncio.new_event_loop())", "asyncio.get_event_loop_policy()._local._loop"),
    "descriptors": ("os.close(0)", "os.path.exists('/proc/self/fd/0')"),
    "NumPy's random numbers": ("import numpy as np\nnp.random.seed(7)", "np.random.rand()"),
    "NumPy's errors": ("_ = np.seterr(all='raise')", "np.geterr()"),
    "NumPy's printing": ("np.set_printoptions(precision=1)", "np.get_printoptions()['precision']"),
    "matplotlib's settings": ("import matplotlib\nmatplotlib.rcParams['lines.linewidth'] = 9", "matplotlib.rcParams['lines.linewidth']"),
    "matplotlib's figures": ("import matplotlib.pyplot as plt\n_ = plt.figure(7)", "plt.get_fignums()"),
    "MLX's random numbers": ("import mlx.core as mx\nmx.random.seed(7)", "mx.random.uniform().item()"),
    "MLX's device": ("mx.set_default_stream(mx.new_stream(mx.cpu))", "(mx.default_device(), mx.default_stream(mx.cpu))"),
    "MLX's cache limit": ("_ = mx.set_cache_limit(1)", "mx.set_cache_limit(1)"),
    "MLX's memory limit": ("_ = mx.set_memory_limit(1 << 30)", "mx.set_memory_limit(1 << 30)"),
    "MLX's memory": ("kept = mx.zeros(1 << 20)\nmx.eval(kept)\nsys.kept = kept", "mx.get_active_memory() > 1 << 20"),
    "MLX's compiling": ("mx.disable_compile()\nos.environ['MLX_DISABLE_COMPILE'] = '1'", "compiles()"),
    "MLX's functions": ("mx.exp = mx.sin", "mx.exp(mx.array(0.0)).item()"),
}  # fmt: skip
"""Kinds of state of a process: what changes it, and what tells."""
COMPILES = """
def compiles():
    calls = []
    function = mx.compile(lambda x: (calls.append(1), x + 1)[1])
    for _ in range(4):
        mx.eval(function(mx.ones(2)))
    return len(calls) < 4
"""
IMPORTS = (
    "import asyncio, builtins, decimal, gc, json, locale, logging, os, random, resource, signal, socket, sys, threading, time\n"
    "import warnings\nimport matplotlib\nimport matplotlib.pyplot as plt\nimport mlx.core as mx\nimport numpy as np\n"
)


def looks() -> str:
    """Return a script that prints each kind of state."""
    return IMPORTS + COMPILES + "\n".join(f"print({kind!r}, {look})" for kind, (_, look) in STATE.items())


@pytest.mark.parametrize("way", WAYS)
def test_an_example_finds_the_same_world_whatever_ran_before_it(
    way: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("kinds of state that don't reach the next example", 0 if way else len(STATE))  # counted once
    leaks = IMPORTS + "\n".join(code for code, _ in STATE.values())
    put_gallery(tmp_path, a_first=example(looks()), b_leaks=example(leaks), c_last=example(looks()))
    ended = built(tmp_path, way)
    assert ended.returncode == 0, ended.stderr
    first, last = (output(tmp_path, name).splitlines() for name in ("a_first", "c_last"))
    assert len(first) == len(STATE)
    assert first == last
    for folder in (tmp_path / "out").rglob("*"):
        assert not folder.is_file() or folder.stat().st_mode & 0o044


def test_modules_of_one_name_beside_two_examples_are_two(tmp_path: Path) -> None:
    code = "import helper_of_this_topic\nprint(helper_of_this_topic.WORD)"
    put_gallery(tmp_path, example=example(code))
    write(tmp_path, {
        "gallery/one/helper_of_this_topic.py": '"""\nA helper\n========\n"""\nWORD = "first"\n',
        "gallery/two/helper_of_this_topic.py": '"""\nA helper\n========\n"""\nWORD = "second"\n',
        "gallery/two/other.py": example(code), "gallery/two/GALLERY_HEADER.rst": "Two\n===\n",
    })  # fmt: skip
    assert built(tmp_path).returncode == 0
    assert output(tmp_path, "example") == "first\n"
    other = (tmp_path / "out" / "gallery" / "two" / "other.html").read_text(encoding="utf-8")
    assert ">second\n</pre>" in other


WORLD = """
import json, os, pathlib, sys
import mlx.core as mx
import helper_beside_it
from compile_guide.timing import compare
seen = [os.getcwd(), __file__, __name__, sys.argv, sys.path[0], pathlib.Path("data.txt").read_text(), helper_beside_it.WORD]
seen += [os.listdir(os.environ["TMPDIR"]) == ["mlx"], sys.flags.optimize, os.environ.get("LEAK")]
with open({file!r}, "a") as file:
    _ = file.write(json.dumps(seen) + "\\n")
_ = compare("gelu", mx.exp, mx.compile(mx.exp), mx.ones(4))
"""


def test_an_example_finds_the_same_world_in_a_recording_and_in_a_build(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    put_gallery(tmp_path, gelu_speedup=example(WORLD.format(file=str(seen))))
    write(tmp_path, {"gallery/one/data.txt": "data", "gallery/one/helper_beside_it.py": "WORD = 'helper'\n"})
    argv = [sys.executable, "-m", "compile_guide", "record", "gelu_speedup", "--no-claims", "--budget", "0.05"]
    env = {**os.environ, "PATH": with_quick_compiler(), "PYTHONPATH": os.pathsep.join(map(str, PATHS))}
    done = subprocess.run(
        [*argv, "--processes", "2"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ended = built(tmp_path, "sphinx_gallery_conf['ignore_pattern'] = 'helper_'\n")
    assert ended.returncode == 0, ended.stderr
    first, second, rendered = map(json.loads, seen.read_text(encoding="utf-8").splitlines())
    assert first == second == rendered
    script = tmp_path / "gallery" / "one" / "gelu_speedup.py"
    assert rendered[:5] == [str(script.parent), str(script), "__main__", [str(script)], str(script.parent)]


def test_where_sphinxs_process_has_loaded_mlx_examples_run_in_a_new_python(tmp_path: Path) -> None:
    import mlx.core as mx

    mx.eval(mx.ones(2) + 1)
    code = "import os, sys\nimport mlx.core as mx\nprint((mx.ones(2) + 1).sum().item(), os.getpid(), 'pytest' in sys.modules)"
    put_gallery(tmp_path, example=example(code), z_next=example(code))
    site = build(tmp_path, gallery=True)
    assert site.warnings == []
    numbers = [output(tmp_path, name).split() for name in ("example", "z_next")]
    assert [number[::2] for number in numbers] == [["4.0", "False"]] * 2
    assert len({*(number[1] for number in numbers), str(os.getpid())}) == 3
