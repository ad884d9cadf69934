"""What building costs: this site against plain sphinx-gallery and plain Sphinx on the same sources, theme and scripts.

The plain side keeps everything that reads the sources (MyST, autodoc, intersphinx, design, furo) and leaves out what is
ours: its roles and directives give nothing, ``compare()`` returns at once, no language model's text is made, and of our
extension only what the settings name is loaded. So it does less than any real alternative would. All sides find their
modules compiled to bytecode, as anybody's second build does.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.costs import changed
from compile_guide.records import schema as record

PACKAGE = Path(__file__).parents[1]
RECORD = "cpu-intel-xeon-processor-mlx-0-32-4"
MACHINES = 40
REBUILDS = 5
"""Builds without a change for each clean one: they are so short that what else the machine does weighs more."""
NAMES = {"ours": "this guide", "gallery": "plain sphinx-gallery", "bare": "plain Sphinx"}
RENDER, REBUILD, PAGE = "clean build, ", "build without a change, ", "page "
KERNELS = Path("build", "html", ".doctrees", "kernels")
BYTECODE = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": ""}
NOTHING = '"""Of the guide only what conf.py imports is loaded."""\n'
PLAIN_CONF = """
from pathlib import Path
from docutils import nodes
from docutils.parsers.rst import Directive

exec(Path(__file__).with_name("guide_conf.py").read_text())
extensions = [e for e in extensions if not e.startswith("compile_guide") and e != "sphinx_llms_txt"]
if not {gallery}:
    extensions.remove("sphinx_gallery.gen_gallery")
    del sphinx_gallery_conf
else:
    from compile_guide import timing
    run = timing.Run((2e-3,) * 6, (1e-3,) * 6, 0.01, 0.02, copy_bandwidth=1e10)
    timing.compare = lambda name, *a, bytes_moved=None, **k: timing.Comparison(name, (run,) * 6, bytes_moved)
    sphinx_gallery_conf.update(image_scrapers=("matplotlib",), reset_modules=("matplotlib",))
suppress_warnings = ["*"]
nitpicky = False

class Options(dict):
    def __bool__(self): return True
    def __getitem__(self, name): return lambda value: value

class Nothing(Directive):
    has_content, optional_arguments, final_argument_whitespace, option_spec = True, 99, True, Options()
    def run(self): return []

def nothing(name, rawtext, text, *rest, **more): return [nodes.Text(text)], []

def setup(app):
    for name in {names}:
        app.add_role(name, nothing)
        app.add_directive(name, Nothing)
"""


@dataclass(frozen=True)
class Cost:
    """What one process with its children took: seconds of the clock and of processors, and its largest memory, in bytes."""

    wall_s: float
    cpu_s: float
    peak: float = 0.0


def timed(argv: list[str], folder: Path, env: dict[str, str]) -> Cost:
    """Run a command to its end.

    Raises:
        RuntimeError: its exit status isn't 0; the end of what it printed is in the message.
    """
    log, start = folder / "build.log", time.perf_counter()
    with log.open("wb") as output:
        child = subprocess.Popen(argv, cwd=folder, env={**os.environ, **env}, stdout=output, stderr=output)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {log.read_text(encoding='utf-8', errors='replace')[-800:]}")
    return Cost(time.perf_counter() - start, used.ru_utime + used.ru_stime, peak_of(used))


def peak_of(used: resource.struct_rusage) -> float:
    """Return the largest memory in bytes; Linux counts a process's from what the one held that started it."""
    return used.ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


class Sources:
    """A copy of the checkout's files that is built in one of three ways."""

    def __init__(self, root: Path, folder: Path, way: str) -> None:
        self.folder, self.way = folder, way
        for name in subprocess.check_output(["git", "ls-files"], cwd=root, text=True).split("\n"):
            if name and (root / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, target)
        self.temp = folder / "tmp"
        self.temp.mkdir()
        self.env = {"TMPDIR": str(self.temp), "PYTHONPATH": str(folder / "src"), "MPLBACKEND": "agg"} | BYTECODE
        if way != "ours":
            (folder / "src/compile_guide/site/__init__.py").write_text(NOTHING, encoding="utf-8")
            (folder / "conf.py").rename(folder / "guide_conf.py")
            (folder / "conf.py").write_text(plain_conf(way), encoding="utf-8")

    def build(self) -> Cost:
        """Build as it stands."""
        sphinx = [sys.executable, "-m", "sphinx", "-c", ".", "-n", "docs", "build/html"]
        more = ["-W", "--keep-going", "-D", f"compile_guide_record={RECORD}"] if self.way == "ours" else []
        return timed([*sphinx, *more], self.folder, self.env)

    def anew(self) -> Cost:
        """Build what was cleaned before, outside the time."""
        self.clean()
        return self.build()

    def clean(self) -> None:
        """Delete what a build left, but not MLX's kernels: building those is MLX's cost, the same for all."""
        kept = self.temp / "kept-kernels"
        if (self.folder / KERNELS).exists():
            (self.folder / KERNELS).rename(kept)
        for left in ("build/html", "docs/gallery"):
            shutil.rmtree(self.folder / left, ignore_errors=True)
        if kept.exists():  # our build refuses doctrees of a build that broke off; these say that theirs ended
            (self.folder / KERNELS).parent.mkdir(parents=True)
            kept.rename(self.folder / KERNELS)
            state = {"ended": True, "made": True, "out": str(self.folder / "build" / "html")}
            (self.folder / KERNELS).with_name("compile-guide.json").write_text(json.dumps(state), encoding="utf-8")


def plain_conf(way: str) -> str:
    """Return the settings of a plain build: ours without what is ours."""
    ours = "".join(file.read_text(encoding="utf-8") for file in sorted(PACKAGE.glob("site/*.py")))
    names = re.findall(r'(?:^    |add_directive\()"([a-z-]+)"[:,] [a-z]*\.?[A-Z]', ours, re.MULTILINE)
    return PLAIN_CONF.format(gallery=way == "gallery", names=sorted(set(names)))


def interleaved(kinds: dict[str, Callable[[], Cost]], repeats: int, seed: int = 0) -> dict[str, tuple[float, ...]]:
    """Return wall and processor seconds of each kind, run in turn, the order drawn anew each time."""
    dice, seen = random.Random(seed), dict[str, list[float]]()
    for _ in range(repeats):
        for name in dice.sample(list(kinds), len(kinds)):
            cost = kinds[name]()
            seen.setdefault(f"{name}, wall", []).append(cost.wall_s)
            seen.setdefault(f"{name}, processor", []).append(cost.cpu_s)
    return {name: tuple(seen[name]) for name in sorted(seen)}


def builds(root: Path, folder: Path, repeats: int) -> dict[str, tuple[float, ...]]:
    """Build the guide in three ways, in turn, and weigh its pages.

    The first builds, which let MLX build its kernels, run side by side and don't count.
    """
    copies = {way: Sources(root, folder / way, way) for way in ("ours", "gallery", "bare")}
    with ThreadPoolExecutor() as pool:
        list(pool.map(Sources.build, (copies["ours"], copies["gallery"])))
    shutil.copytree(copies["gallery"].folder / "docs" / "gallery", copies["bare"].folder / "docs" / "gallery")
    copies["bare"].build()
    found = interleaved({f"{RENDER}{NAMES[way]}": copies[way].anew for way in ("ours", "gallery")}, repeats)
    found |= interleaved({f"{REBUILD}{NAMES[way]}": copies[way].build for way in copies}, repeats * REBUILDS)
    return found | weights(copies["ours"])


def weights(guide: Sources) -> dict[str, tuple[float, ...]]:
    """Return the bytes of the heaviest pages, packed as a web server sends them, with one machine's record and with 40."""
    found: dict[str, tuple[float, ...]] = {}
    for machines in (1, MACHINES):
        _fill(guide.folder / "docs" / "records", machines)
        guide.build()
        pages = guide.folder / "build" / "html"
        sizes = {
            page.relative_to(pages).as_posix(): len(gzip.compress(page.read_bytes())) for page in pages.rglob("*.html")
        }
        heaviest = sorted(sizes, key=lambda name: -sizes[name])[:5]
        ending = "s" if machines > 1 else ""
        found |= {f"{PAGE}{name}, {machines} machine{ending}": (float(sizes[name]),) for name in heaviest}
    return found


def _fill(folder: Path, count: int) -> None:
    """Leave the record shown, and ``count - 1`` of machines that don't exist, with the same numbers."""
    shown = record.load(folder / f"{RECORD}.json")
    for old in folder.glob("*.json"):
        if old.stem != RECORD:
            old.unlink()
    for number in range(count - 1):
        machine = changed(shown.machine, chip=f"Made-up chip {number}")
        made = changed(shown, id=f"cpu-made-up-{number:02}", machine=machine)
        record.save(made, folder / f"{made.id}.json")
