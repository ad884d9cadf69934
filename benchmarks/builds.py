"""How long builds of this site take, in seconds of the clock and of processors: clean, without a change, after an edit.

:func:`beside_plain_tools` compares with plain sphinx-gallery and plain Sphinx on the same sources, theme and scripts. Their
side keeps everything that reads the sources (MyST, autodoc, intersphinx, design, furo) and leaves out what is ours: our
roles and directives give nothing, ``compare()`` returns at once, no text for language models is made, and of our
extensions only what the settings import is loaded. So it does less than any real alternative would.

:func:`beside_checkout` compares with another checkout of this project.

:func:`since` does so as their users build, right after a recording: from nothing, after an edit of a page, and of an example.

Every side is a copy of a checkout's files as they are, committed or not. MLX's kernels and the modules' bytecode are there
already, as in anybody's second build; for :func:`since`, what a recording leaves is there, which may be no kernels.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ROOT, BenchError

Values = dict[str, tuple[float, ...]]
RECORD = "cpu-intel-xeon-processor-mlx-0-32-4"
"""The record that all sides show."""
OURS, GALLERY, SPHINX = "ours", "gallery", "bare"
NAMES = {OURS: "this guide", GALLERY: "plain sphinx-gallery", SPHINX: "plain Sphinx"}
CLEAN, UNCHANGED, EDITED, PAGE = "clean build, ", "build without a change, ", "build after an edit, ", "page "
EXAMPLE, MEMORY = "build after an edit of an example, ", "memory"
CHECKOUTS = ("this checkout", "the other")
REPEATS_OF_SHORT = 5
"""Short builds for each clean one: they are so short that whatever else the machine does weighs more."""
EDITED_PAGE, EDITED_EXAMPLE = Path("docs", "measuring.md"), Path("gallery", "training", "training_graph.py")
KERNELS, DOCTREES, TEMP = Path("build", "kernels"), Path("build", "doctrees"), Path("tmp")
"""Below a copy: where a recording keeps kernels for builds, and what a build from nothing finds missing besides the pages."""
MACHINES = 40
SPHINX_BUILD = (sys.executable, "-m", "sphinx", "-c", ".", "-n", "docs", "build/html", "-d", "build/doctrees")
GENERATED = (Path("build", "html"), Path("docs", "gallery"))
"""What a clean build finds missing. The doctrees stay, because MLX's kernels lie there: ``-E`` makes Sphinx ignore them."""
EXTENSIONS = (Path("src", "compile_guide", "sphinxext"), Path("docs", "_ext"))
"""Our Sphinx extensions, which the plain sides don't load."""
NOTHING = '"""A plain build loads nothing of this extension but the modules that conf.py imports."""\n'
BYTECODE = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": ""}
PLAIN_CONF = '''"""The guide's settings without its own extensions: every role and directive that nobody knows gives nothing."""
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, directives, roles

exec(Path(__file__).with_name("guide_conf.py").read_text(encoding="utf-8"))
extensions = [e for e in extensions if not e.startswith(("compile_guide", "_ext")) and e != "sphinx_llms_txt"]
if not {gallery}:
    extensions.remove("sphinx_gallery.gen_gallery")
    del sphinx_gallery_conf
else:
    from compile_guide import timing
    from compile_guide.comparison import Comparison, Run
    run = Run((2e-3,) * 6, (1e-3,) * 6, 0.01, 0.02, copy_bandwidth=1e10)
    timing.compare = lambda name, *_, bytes_moved=None, **__: Comparison(name, (run,) * 6, bytes_moved)
    sphinx_gallery_conf.update(image_scrapers=("matplotlib",), reset_modules=("matplotlib",))
suppress_warnings = ["*"]
nitpicky = False


class AnyOptions(dict):
    def __bool__(self):
        return True

    def __getitem__(self, name):
        return lambda value: value


class Nothing(Directive):
    has_content, optional_arguments, final_argument_whitespace, option_spec = True, 99, True, AnyOptions()

    def run(self):
        return []


def as_text(name, rawtext, text, *_, **__):
    return [nodes.Text(text)], []


def or_else(lookup, default):
    def look_up(name, *more):
        found, messages = lookup(name, *more)
        return (found, messages) if found else (default, [])

    return look_up


directives.directive = or_else(directives.directive, Nothing)
roles.role = or_else(roles.role, as_text)
'''


@dataclass(frozen=True)
class Cost:
    """What one process and its children took: seconds of the clock and of processors, and its largest memory, in bytes."""

    wall_s: float
    cpu_s: float
    peak: float = 0.0


def timed(argv: list[str], folder: Path, env: Mapping[str, str]) -> Cost:
    """Run a command in ``folder`` and return what it cost; its output goes to ``build.log`` there.

    Raises:
        BenchError: its exit status isn't 0; the end of its output is in the message.
    """
    log, start = folder / "build.log", time.perf_counter()
    with log.open("wb") as output:
        child = subprocess.Popen(argv, cwd=folder, env={**os.environ, **env}, stdout=output, stderr=output)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise BenchError(f"{' '.join(argv)}: {log.read_text(encoding='utf-8', errors='replace')[-800:]}")
    return Cost(time.perf_counter() - start, used.ru_utime + used.ru_stime, peak_of(used))


def peak_of(used: resource.struct_rusage) -> float:
    """Return the largest memory in bytes; on Linux a process begins with that of the one that started it."""
    return used.ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


class Copy:
    """A copy of a checkout's files in a new ``folder``, built in one of the ways of :data:`NAMES`.

    Raises:
        BenchError: the checkout isn't one of git's.
    """

    def __init__(self, checkout: Path, folder: Path, way: str = OURS) -> None:
        self.folder, self.way, self.edits = folder, way, 0
        for name in files_of(checkout):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkout / name, target)
        temp = folder / TEMP
        temp.mkdir()
        path = os.pathsep.join(str(folder / part) for part in ("src", "docs", "."))
        self.env = {"TMPDIR": str(temp), "PYTHONPATH": path, "MPLBACKEND": "agg", **BYTECODE}
        if way != OURS:
            for extension in EXTENSIONS:
                (folder / extension / "__init__.py").write_text(NOTHING, encoding="utf-8")
            (folder / "conf.py").rename(folder / "guide_conf.py")
            (folder / "conf.py").write_text(PLAIN_CONF.format(gallery=way == GALLERY), encoding="utf-8")

    def build(self, *options: str) -> Cost:
        """Build as it is, on as many processors as the noxfile of this checkout has Sphinx use."""
        noxfile = self.folder / "noxfile.py"
        if noxfile.exists() and '"-j", "auto"' in noxfile.read_text(encoding="utf-8"):
            options = ("-j", "auto", *options)
        ours = ("-W", "--keep-going", "-D", f"compile_guide_record={RECORD}") if self.way == OURS else ()
        return timed([*SPHINX_BUILD, *options, *ours], self.folder, self.env)

    def build_clean(self) -> Cost:
        """Build everything; deleting what the last build left is not part of the time."""
        for left in GENERATED:
            shutil.rmtree(self.folder / left, ignore_errors=True)
        return self.build("-E")

    def build_from_nothing(self) -> Cost:
        """Build as after a recording in a new checkout: of what an earlier build left, only the kernels for builds stay."""
        for left in (*GENERATED, DOCTREES, TEMP):
            shutil.rmtree(self.folder / left, ignore_errors=True)
        (self.folder / TEMP).mkdir()
        return self.build()

    def build_edited_example(self) -> Cost:
        """Build after a line was added to one example."""
        with (self.folder / EDITED_EXAMPLE).open("a", encoding="utf-8") as example:
            example.write("print()\n")
        return self.build()

    def build_edited(self) -> Cost:
        """Build after a sentence of one page has changed."""
        page = self.folder / EDITED_PAGE
        text = page.read_text(encoding="utf-8").removesuffix(f"\nEdited {self.edits} times.\n")
        self.edits += 1
        page.write_text(f"{text}\nEdited {self.edits} times.\n", encoding="utf-8")
        return self.build()


def files_of(checkout: Path) -> list[str]:
    """Return the files of a checkout that git keeps or would keep, relative to it.

    Raises:
        BenchError: git knows of no checkout there.
    """
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, cwd=checkout, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise BenchError(f"{checkout}: {listed.stderr.strip()}")
    return [name for name in listed.stdout.split("\0") if name and (checkout / name).is_file()]


def interleaved(kinds: Mapping[str, Callable[[], Cost]], repeats: int, seed: int = 0) -> Values:
    """Return wall and processor seconds of each kind, run in turn, in a new random order each time."""
    dice, values = random.Random(seed), dict[str, list[float]]()
    for _ in range(repeats):
        for name in dice.sample(list(kinds), len(kinds)):
            cost = kinds[name]()
            values.setdefault(f"{name}, wall", []).append(cost.wall_s)
            values.setdefault(f"{name}, processor", []).append(cost.cpu_s)
            values.setdefault(f"{name}, {MEMORY}", []).append(cost.peak)
    return {name: tuple(values[name]) for name in sorted(values)}


def since(other: Path, folder: Path, repeats: int) -> Values:
    """Render this checkout and another one in turn, as after a recording; the builds are copies below ``folder``.

    Raises:
        BenchError: ``other`` isn't a checkout, or a build failed.
    """
    copies = {name: Copy(root, folder / name) for name, root in zip(CHECKOUTS, (ROOT, other), strict=True)}
    for copy in copies.values():
        (copy.folder / KERNELS).mkdir(mode=0o700, parents=True)
    _first_builds(*copies.values())
    values = interleaved({f"{CLEAN}{name}": copy.build_from_nothing for name, copy in copies.items()}, repeats)
    values |= interleaved({f"{EDITED}{name}": copy.build_edited for name, copy in copies.items()}, repeats)
    return values | interleaved({f"{EXAMPLE}{n}": copy.build_edited_example for n, copy in copies.items()}, repeats)


def commit(checkout: Path) -> str:
    """Return the commit of a checkout, shortened; "unknown" where git can't say."""
    argv = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def beside_plain_tools(folder: Path, repeats: int) -> Values:
    """Build this checkout in all ways, in turn, and weigh its pages; the builds are copies below ``folder``.

    The first builds, in which MLX builds its kernels, run side by side and don't count.
    """
    copies = {way: Copy(ROOT, folder / way, way) for way in NAMES}
    _first_builds(copies[OURS], copies[GALLERY])
    shutil.copytree(copies[GALLERY].folder / "docs" / "gallery", copies[SPHINX].folder / "docs" / "gallery")
    copies[SPHINX].build()
    values = interleaved({f"{CLEAN}{NAMES[way]}": copies[way].build_clean for way in (OURS, GALLERY)}, repeats)
    return values | _short_builds({NAMES[way]: copy for way, copy in copies.items()}, repeats) | weights(copies[OURS])


def beside_checkout(other: Path, folder: Path, repeats: int) -> Values:
    """Build this checkout and another one in turn; the builds are copies below ``folder``.

    Raises:
        BenchError: ``other`` isn't a checkout, or a build failed.
    """
    copies = {name: Copy(root, folder / name) for name, root in zip(CHECKOUTS, (ROOT, other), strict=True)}
    _first_builds(*copies.values())
    values = interleaved({f"{CLEAN}{name}": copy.build_clean for name, copy in copies.items()}, repeats)
    return values | _short_builds(copies, repeats)


def _first_builds(*copies: Copy) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(Copy.build, copies))


def _short_builds(copies: Mapping[str, Copy], repeats: int) -> Values:
    unchanged = interleaved({f"{UNCHANGED}{n}": c.build for n, c in copies.items()}, repeats * REPEATS_OF_SHORT)
    edited = interleaved({f"{EDITED}{n}": c.build_edited for n, c in copies.items()}, repeats * REPEATS_OF_SHORT)
    return unchanged | edited


def weights(guide: Copy) -> Values:
    """Return the bytes of the heaviest pages, packed as a web server sends them, with one machine's record and with 40."""
    values: Values = {}
    for machines in (1, MACHINES):
        _leave_records(guide.folder / "docs" / "records", machines)
        guide.build()
        pages = guide.folder / "build" / "html"
        sizes = {
            page.relative_to(pages).as_posix(): len(gzip.compress(page.read_bytes())) for page in pages.rglob("*.html")
        }
        heaviest = sorted(sizes, key=lambda name: -sizes[name])[:5]
        ending = "s" if machines > 1 else ""
        values |= {f"{PAGE}{name}, {machines} machine{ending}": (float(sizes[name]),) for name in heaviest}
    return values


def _leave_records(folder: Path, count: int) -> None:
    """Leave the record that is shown, and ``count - 1`` copies of it with the names of machines that don't exist."""
    for other in folder.glob("*.json"):
        if other.stem != RECORD:
            other.unlink()
    record = json.loads((folder / f"{RECORD}.json").read_text(encoding="utf-8"))
    for number in range(count - 1):
        record["id"], record["machine"]["chip"] = f"cpu-made-up-{number:02}", f"Made-up chip {number}"
        (folder / f"{record['id']}.json").write_text(json.dumps(record), encoding="utf-8")
