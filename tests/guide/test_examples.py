"""Every example: written to the rules, and running alone, copied by ``copy``, in a fresh environment."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import io
import json
import re
import sys
import sysconfig
import tokenize
import venv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from guide import ROOT
from packaging.requirements import Requirement
from quick_compiler import with_quick_compiler

from compile_guide import _process as process

EXAMPLES = sorted((ROOT / "gallery").glob("*/*.py"))
OURS = {f"compile_guide.{name}" for name in ("timing", "comparison", "formatting", "tracing", "shapeless_check")}
OTHERS = {"mlx", "matplotlib", "numpy"}
TIMING = re.compile(
    r"\d\s*(?:ns|µs|us|ms|×|[KMG]B/s)(?!\w)"  # 3.1 ms, 5×, 400 GB/s
    r"|\d\s*(?:x|times|%|percent)\s+(?:as fast|faster|slower|quicker|of a copy)"  # 5x faster, 40 % slower
    r"|\d\s*(?:milli|micro|nano)?seconds?\b",
    re.IGNORECASE,
)
SETTINGS = {"budget_s": 0.05}
LIMIT_S = 180.0
SMALLER = {"gelu_speedup": ("shape=(32, 1000, 4096)", "shape=(32, 50, 4096)")}
"""What its copy measures on smaller arrays: each of some ten calls takes seconds. A recording measures it in full."""
PAGE_WIDTH = 88  # characters; gallery/ruff.toml has the formatter keep to it

examples = pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)


def test_the_gallery_has_the_six_examples_that_the_site_promises() -> None:
    assert {script.relative_to(ROOT / "gallery").as_posix() for script in EXAMPLES} >= {
        "basics/compile_basics.py",
        "metalfaiss/metalfaiss_notes.py",
        "shapeless/shapeless_pitfalls.py",
        "speed/gelu_speedup.py",
        "state/state_capture.py",
        "training/training_graph.py",
    }


@examples
def test_it_runs_to_its_end_where_nothing_of_it_was_recorded(script: Path, tmp_path: Path, kernels: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text('{"comparisons": []}')
    argv = [sys.executable, "-W", "error::RuntimeWarning", str(script)]
    env = {"COMPILE_GUIDE_REPLAY": str(record), "PYTHONPATH": str(ROOT / "src")}
    ended = process.run(argv, folder=tmp_path, limit_s=LIMIT_S, env=env, temp=kernels / script.stem)
    assert ended.returncode == 0, ended.output


# Written to the rules --------------------------------------------------------------------------------------


@examples
def test_its_code_is_no_wider_than_the_page(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    begin = ast.parse(source).body[0].end_lineno or 0
    code = [line for line in source.splitlines()[begin:] if not line.startswith("#")]  # text is wrapped by the page
    assert [line for line in code if len(line) > PAGE_WIDTH] == []


@examples
def test_it_starts_with_a_title_an_introduction_and_tags(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    title, line, introduction = (ast.get_docstring(ast.parse(source)) or "").split("\n", 2)
    assert len(title) > 8
    assert line == "=" * len(title)
    assert len(introduction.split()) > 15
    tags = re.findall(r"^# sphinx_gallery_tags = (\[.+\])$", source, re.MULTILINE)
    assert len(tags) == 1
    assert all(re.fullmatch(r"[a-z]+( [a-z]+)*", tag) for tag in ast.literal_eval(tags[0]))


def test_a_tag_leads_to_more_than_one_example_and_no_other_tag_to_the_same() -> None:
    led: dict[str, set[str]] = {}
    for script in EXAMPLES:
        (tags,) = re.findall(r"^# sphinx_gallery_tags = (\[.+\])$", script.read_text(encoding="utf-8"), re.MULTILINE)
        for tag in ast.literal_eval(tags):
            led.setdefault(tag, set()).add(script.stem)
    assert {tag: examples for tag, examples in led.items() if len(examples) < 2} == {}
    assert len({frozenset(examples) for examples in led.values()}) == len(led)


@examples
def test_it_names_where_its_question_was_asked(script: Path) -> None:
    asked = r"https://github\.com/(\S+/(issues|pull)/\d+|SolaceHarmony/MetalFaiss)\b"
    assert re.search(asked, script.read_text(encoding="utf-8"))


def test_no_two_tags_are_one_word_in_two_forms() -> None:
    lists = [re.findall(r"^# sphinx_gallery_tags = (\[.+\])$", script.read_text(), re.MULTILINE) for script in EXAMPLES]
    tags = {tag for (found,) in lists for tag in ast.literal_eval(found)}
    stems = [tag[:4] for tag in sorted(tags)]  # traces and tracing begin alike, models and memory don't
    assert len(stems) == len(set(stems)), sorted(tags)


@examples
def test_its_topic_has_a_header_with_a_title_and_a_sentence(script: Path) -> None:
    title, line, text = (script.parent / "GALLERY_HEADER.rst").read_text(encoding="utf-8").split("\n", 2)
    assert set(line) == {"="} and len(line) == len(title)
    assert text.strip().endswith(".")


def modules_imported(source: str) -> set[str]:
    """Return the full names of all modules that a source text imports, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    return found


@examples
def test_it_imports_nothing_that_a_reader_would_have_to_hunt_for(script: Path) -> None:
    imported = modules_imported(script.read_text(encoding="utf-8")) - OURS
    foreign = {name for name in imported if name.partition(".")[0] not in OTHERS | sys.stdlib_module_names}
    assert foreign == set()


def first_line(tree: ast.AST, kind: type[ast.AST], name: str = "") -> int:
    """Return the line of the first node of a kind, or of the first call of a function of that name."""
    lines = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, kind) and (not name or getattr(getattr(node, "func", None), "id", "") == name)
    ]
    return min(lines)


@examples
def test_it_asserts_before_it_compares(script: Path) -> None:
    tree = ast.parse(script.read_text(encoding="utf-8"))
    assert first_line(tree, ast.Assert) < first_line(tree, ast.Call, "compare")


def prose(source: str) -> list[str]:
    """Return the docstrings' and comments' lines: what a reader reads as text."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    documented = (ast.Module, ast.FunctionDef, ast.ClassDef)
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, documented))
    return [*comments, *(line for node in nodes for line in (ast.get_docstring(node) or "").splitlines())]


@examples
def test_no_timing_is_typed_by_hand(script: Path) -> None:
    assert [line for line in prose(script.read_text(encoding="utf-8")) if TIMING.search(line)] == []


TYPED = ["takes 3.1 ms.", "from 15µs", "5× as fast", "2 x faster", "40 % slower", "400 GB/s", "2 seconds"]
HARMLESS = ["512×256 values", "3 iterations", "(32, 1000, 4096)", "2 messages", "float32 → float16", "2 * x"]


@pytest.mark.parametrize(("lines", "found"), [(TYPED, True), (HARMLESS, False)], ids=["typed", "harmless"])
def test_a_timing_is_told_from_other_numbers(lines: list[str], found: bool) -> None:
    assert [bool(TIMING.search(line)) for line in lines] == [found] * len(lines)


@examples
def test_it_ends_with_what_to_take_away_and_where_to_go_next(script: Path) -> None:
    lines = script.read_text(encoding="utf-8").splitlines()
    take = lines.index("# What to take away")
    following = [number for number, line in enumerate(lines) if line.startswith("# Where to go next")]
    assert following and take < following[0]
    assert all(line.startswith("#") for line in lines[take:]), "text alone stands after the take-away"


@examples
def test_every_plot_has_a_title_for_those_who_cannot_see_it(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    assert source.count("plt.subplots(") == source.count(".set_title(") + source.count(".suptitle(")


# Running alone ---------------------------------------------------------------------------------------------


def environment(folder: Path, wanted: Iterable[str]) -> Path:
    """Make a virtual environment with these distributions and what they require, and return its Python.

    They are linked from the environment that the tests run in: nothing is downloaded, and one that is
    missing here is an error.
    """
    venv.EnvBuilder(symlinks=True).create(folder)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    for distribution in with_requirements(wanted).values():
        tops = {path.parts[0] for path in distribution.files or ()} - {"..", "__pycache__"}
        for top in tops:
            link = site / top
            if not link.is_symlink():
                link.symlink_to(str(distribution.locate_file(top)))
    return folder / "bin" / "python"


def with_requirements(wanted: Iterable[str]) -> dict[str, importlib.metadata.Distribution]:
    """Return the installed distributions of these names and, without extras, all that they require."""
    found: dict[str, importlib.metadata.Distribution] = {}
    names = list(wanted)
    while names:
        name = names.pop()
        if name in found:
            continue
        found[name] = importlib.metadata.distribution(name)
        needs = [Requirement(text) for text in found[name].requires or ()]
        names += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


@dataclass(frozen=True)
class Alone:
    """How an example's copy ran: the end of its process, the names of its comparisons, the files left."""

    ended: process.Finished
    names: tuple[str, ...]
    left: frozenset[str]


def run_alone(script: Path, python: Path, folder: Path, kernels: Path) -> Alone:
    """Copy an example as a reader does, and run it in an environment that knows nothing of this project."""
    target, place = folder / "copy", folder / "run"
    place.mkdir(parents=True)
    copying = [sys.executable, "-m", "compile_guide", "copy", script.stem, str(target)]
    copied = process.run(copying, folder=place, limit_s=LIMIT_S)
    assert copied.returncode == 0, copied.output
    make_smaller(target / script.name, *SMALLER.get(script.stem, ("", "")))
    before, sink = files_in(target), folder / "sink.jsonl"
    sink.write_text(json.dumps(SETTINGS) + "\n", encoding="utf-8")
    unset = dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"))
    clean = {"COMPILE_GUIDE_SINK": str(sink), "PATH": with_quick_compiler(), **unset}
    argv = [str(python), script.name]
    ended = process.run(argv, folder=target, limit_s=LIMIT_S, env=clean, temp=kernels)
    lines = sink.read_text(encoding="utf-8").splitlines()[1:]
    return Alone(ended, tuple(json.loads(line)["name"] for line in lines), files_in(target) - before)


def make_smaller(copied: Path, old: str, new: str) -> None:
    source = copied.read_text(encoding="utf-8")
    assert old in source
    copied.write_text(source.replace(old, new) if old else source, encoding="utf-8")


def files_in(folder: Path) -> frozenset[str]:
    """Return the files under a folder, but for Python's caches and the log of the process."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return frozenset(str(path) for path in paths if "__pycache__" not in path.parts) - {"output.log"}


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold a folder of kernels for each example, so that its second run needn't build them again."""
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="session")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two environments: with MLX alone, and with MLX and Matplotlib."""
    folder = tmp_path_factory.mktemp("environments")
    installed = {distribution.name for distribution in importlib.metadata.distributions()}
    mlx = {"mlx", *(installed & {"mlx-cpu", "mlx-metal", "mlx-cuda-12", "mlx-cuda-13"})}
    return {
        "mlx": environment(folder / "mlx", mlx),
        "plots": environment(folder / "plots", mlx | {"matplotlib"}),
    }


@pytest.fixture(scope="session")
def alone(pythons: dict[str, Path], kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Alone]:
    """Give a function that runs an example's copy, once."""
    folder = tmp_path_factory.mktemp("alone")

    @functools.cache
    def run(script: Path) -> Alone:
        plots = "matplotlib" in script.read_text(encoding="utf-8")
        python = pythons["plots" if plots else "mlx"]
        return run_alone(script, python, folder / script.stem, kernels / script.stem)

    return run


@pytest.mark.parametrize("kind", ["mlx", "plots"])
def test_the_environments_hold_nothing_of_ours(kind: str, pythons: dict[str, Path], tmp_path: Path) -> None:
    code = "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions()))"
    clean: dict[str, str | None] = {"PYTHONPATH": None, "PYTHONHOME": None}
    ended = process.run([str(pythons[kind]), "-c", code], folder=tmp_path, limit_s=LIMIT_S, env=clean)
    found = set(ended.output.split())
    assert "mlx" in found
    assert ("matplotlib" in found) == (kind == "plots")
    assert not found & {"mlx-compile-guide", "msgspec", "rich", "sphinx", "pytest"}


@examples
def test_its_copy_runs_alone_and_leaves_no_files(script: Path, alone: Callable[[Path], Alone]) -> None:
    run = alone(script)
    assert (run.ended.reason, run.left) == ("exit status 0", frozenset()), run.ended.output
    assert run.names, "it compares nothing"


@examples
def test_its_output_names_no_path_address_or_timing(script: Path, alone: Callable[[Path], Alone]) -> None:
    output = alone(script).ended.output
    assert not re.search(r"0x[0-9a-f]{6,}|/tmp/|/home/", output)
    assert [line for line in output.splitlines() if TIMING.search(line)] == []


@pytest.mark.timeout(900)
def test_no_two_comparisons_of_the_gallery_have_one_name(alone: Callable[[Path], Alone]) -> None:
    names = [name for script in EXAMPLES for name in alone(script).names]
    assert sorted(names) == sorted(set(names))


# Functions to lift out -------------------------------------------------------------------------------------


DROPOUT = """
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_map

Step = Callable[..., mx.array]

{recipe}

def losses(bad_batches):
    mx.random.seed(3)
    model = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    model.sizes = (8, 4, 1)  # a tuple of numbers is part of the state, as a convolution's strides are
    optimizer = optim.SGD(1e-2, momentum=0.9)
    optimizer.init(model.trainable_parameters())
    state = [model.state, optimizer.state, mx.random.state]
    mx.eval(state)
    loss_and_grad = nn.value_and_grad(model, lambda x, y: mx.mean((model(x) - y) ** 2))

    def plain(x, y):
        loss, gradients = loss_and_grad(x, y)
        optimizer.update(model, gradients)
        return loss

    step, seen = guarded(mx.compile(plain, inputs=state, outputs=state), state), []
    x, y = mx.random.normal((8, 8), key=mx.random.key(1)), mx.zeros((8, 1))
    for number in range(6):
        if number in bad_batches:
            try:
                step(x[:, :7], y)
            except ValueError:
                print("refused")
        seen.append(step(x, y).item())
        mx.eval(model.state, optimizer.state)
    return seen

assert losses(bad_batches=(0, 3)) == losses(bad_batches=())
"""


def test_the_guard_lifted_out_of_the_training_example_saves_dropout_too(tmp_path: Path) -> None:
    source = (ROOT / "gallery" / "training" / "training_graph.py").read_text(encoding="utf-8")
    wanted = {"snapshot", "restore", "restore_random", "guarded"}
    found = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name in wanted]
    recipe = "\n\n".join(ast.get_source_segment(source, node) or "" for node in found)
    (tmp_path / "lifted.py").write_text(DROPOUT.format(recipe=recipe), encoding="utf-8")
    ended = process.run([sys.executable, "lifted.py"], folder=tmp_path, limit_s=LIMIT_S)
    assert (ended.returncode, ended.output) == (0, "refused\nrefused\n")
