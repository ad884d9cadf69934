# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2025.5"]
# ///
"""The project's commands: ``python -m nox -s docs``, or ``uv run noxfile.py -s docs`` where uv is.

Options stand behind ``--``: ``nox -s docs -- --mlx cuda13 --budget 1``; ``nox -s docs -- --help`` lists them.

All sessions share one virtual environment for each MLX build and Python, ``.nox/<build>-<python>``, filled
from the locks in ``requirements/``. What is installed is not installed again: ``render`` starts at once.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import nox

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))  # of it, what needs nothing installed

from compile_guide import _prerequisites

nox.options.sessions = ["lint", "tests", "render"]
nox.options.default_venv_backend = "none"  # environment() makes the one that all sessions share

ROOT = Path(__file__).resolve().parent
RECORDS = Path("docs", "records")
DOCTREES = Path("build", "doctrees")  # Sphinx's default lies within the site, and would be published
BROWSER_CACHE = ROOT / ".nox" / "browser"  # what the browser's checks take from npm
GENERATED = (r"docs/gallery/", r"docs/sg_", r"__pycache__", r"\.pyc$")  # written by a build: not a reason for another
UTF8 = {"PYTHONUTF8": "1"}  # for all programs: in an ASCII locale Python would read pages and paths as ASCII
PEER_TOOLS = {"dot": "graphviz", "pandoc": "pandoc", "ffmpeg": "ffmpeg"}  # programs, and the packages that have them
BACKENDS_BY_INTEREST = ("cpu", "cuda", "metal")
"""Backends, the one whose figures most readers come for last."""
LAST_MEASURED = Path("build", "this-record")  # written by `compile_guide record`: the id of what it saved


class Refusal(Exception):
    """The session can't do what was asked; the message, one line, says what to change."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose ``error`` leaves the reporting of a mistake to nox."""

    def error(self, message: str) -> NoReturn:  # noqa: D102 - argparse's own method
        raise Refusal(message)


@dataclass(frozen=True)
class Options:
    """What stands behind ``--``: the MLX build, and the arguments for the session's own program."""

    mlx: str
    rest: tuple[str, ...] = ()
    published: bool = False


def mlx_builds() -> tuple[str, ...]:
    """Return the MLX builds that exist for this operating system, the default first."""
    return ("metal",) if sys.platform == "darwin" else ("cpu", "cuda12", "cuda13")


def option_parser(*, measures: bool, records: bool = False) -> Parser:
    """Return the parser for a session's options; one that ``measures`` has those of the record command too."""
    parser = Parser(prog="nox -s SESSION --", allow_abbrev=False)
    default = os.environ.get("COMPILE_GUIDE_MLX", mlx_builds()[0])
    parser.add_argument("--mlx", default=default, help=f"{', '.join(mlx_builds())} (now: {default})")
    if measures:
        parser.add_argument("names", nargs="*", metavar="NAME", help="measure these examples alone")
        parser.add_argument("--budget", type=float, metavar="S", help="seconds for each comparison")
        parser.add_argument(
            "--processes", type=int, metavar="N", help="processes for an example (six give an interval)"
        )
        parser.add_argument("--keep-going", action="store_true", help="save the rest if an example fails")
    if records:
        words = "measure published packages instead of the examples, in an environment of their own"
        parser.add_argument("--published", action="store_true", help=words)
    return parser


def parse(arguments: list[str], *, measures: bool = False, records: bool = False, passes_on: bool = False) -> Options:
    """Read what stands behind ``--``; one that ``passes_on`` leaves what it doesn't know to its program.

    Raises:
        Refusal: an option is unknown here, or its value is not one of those allowed.
    """
    found, rest = option_parser(measures=measures, records=records).parse_known_intermixed_args(arguments)
    if rest and not passes_on:
        raise Refusal(f"unknown option {rest[0]!r}: `-- --help` lists those of this session")
    if found.mlx not in mlx_builds():
        raise Refusal(f"--mlx {found.mlx}: choose from {', '.join(mlx_builds())} on this operating system")
    if measures:
        refuse_unknown(found.names)
        budget = [] if found.budget is None else ["--budget", f"{found.budget:g}"]
        count = [] if found.processes is None else ["--processes", str(found.processes)]
        rest = [*found.names, *budget, *count, *(["--keep-going"] if found.keep_going else [])]
    published = records and found.published
    if published and (found.names or found.keep_going):
        raise Refusal("--published measures all of its functions: with it go --budget and --processes alone")
    return Options(found.mlx, tuple(rest), published)


def refuse_unknown(names: list[str]) -> None:
    """Raise a Refusal for a name that no example has: before anything is installed, not after."""
    there = sorted(path.stem for path in (ROOT / "gallery").glob("*/*.py"))
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=1) or there
            raise Refusal(f"no example {name!r}: {'did you mean' if len(near) == 1 else 'there are'} {', '.join(near)}")


GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg")
"""What NVIDIA's driver opens: on Linux, and on Linux within Windows."""


def gpu_fault(mlx: str, devices: tuple[str, ...] = GPU_DEVICES) -> str | None:
    """Return in one line that a CUDA build of MLX would find no GPU here; None if it may find one."""
    if not mlx.startswith("cuda") or any(Path(device).exists() for device in devices):
        return None
    return f"--mlx {mlx}: no NVIDIA GPU is here ({devices[0]} is missing); without --mlx, MLX computes on the processor"


def compiler_fault(system: str = sys.platform) -> str | None:
    """Return in one line what keeps MLX from building the kernels of its CPU side here; None if nothing does."""
    if system != "darwin":
        return _prerequisites.compiler_fault()
    if has_compiler():
        return None
    why = "and some examples use MLX on the CPU, which builds its kernels with their g++"
    return f"Apple's command line tools are missing, {why}: run `xcode-select --install`, then this again"


def has_compiler() -> bool:
    """Return whether there is a g++ on this Mac: a new Mac has a stand-in, which fails and opens a window.

    ``xcode-select -p`` names the folder of the command line tools, and fails without any (its manual page).
    """
    found = shutil.which("g++")
    if found != "/usr/bin/g++":
        return found is not None
    try:
        return subprocess.run(["xcode-select", "-p"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def need_tools(mlx: str) -> None:
    """Raise a Refusal where this build of MLX finds no GPU, or its CPU kernels can't be built."""
    if fault := gpu_fault(mlx) or compiler_fault():
        raise Refusal(fault)


def need_write_access() -> None:
    """Raise a Refusal where a build can't leave its files in this checkout."""
    for name in ("", "docs", "build", ".nox"):
        if (ROOT / name).exists() and not os.access(ROOT / name, os.W_OK):
            raise Refusal(f"{ROOT / name} can't be written: copy the checkout to a folder of yours, and run this there")


def environment(session: nox.Session, mlx: str, *purposes: str, prefix: str = "") -> str:
    """Return the Python of this MLX build's virtual environment, brought up to date with the locks named.

    With a ``prefix`` to its name it is another one than what all sessions share.
    """
    need_write_access()
    folder = ROOT / ".nox" / f"{prefix}{mlx}-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    make = (sys.executable, "-m", "virtualenv", "--quiet", "--clear", "--no-periodic-update")
    if not python.exists():
        session.run(*make, str(folder))
    locks = [f"mlx-{mlx}" if mlx.startswith("cuda") else "mlx-default", "record", *purposes]
    wanted = digests(locks)
    done = folder / "installed.json"
    installed = read_json(done)
    if not wanted.items() <= installed.items():
        done.unlink(missing_ok=True)  # an installation that breaks off must not look complete
        install(session, str(python), locks)
        done.write_text(json.dumps(installed | wanted, indent=1), encoding="utf-8")
    return str(python)


def read_json(file: Path) -> dict[str, Any]:
    """Return what a file of ours holds; nothing where there is none, or one that was cut off or isn't ours."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def digests(locks: list[str]) -> dict[str, str]:
    """Return digests of the files that an installation from these locks depends on."""
    files = {name: ROOT / "requirements" / f"{name}.txt" for name in locks}
    files["package"] = ROOT / "pyproject.toml"
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def install(session: nox.Session, python: str, locks: list[str]) -> None:
    """Install the locks, each file checked against its hash, and the package so that edits take effect."""
    pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps")
    files = [argument for name in locks for argument in ("-r", f"requirements/{name}.txt")]
    session.run(*pip, "--require-hashes", "--only-binary", ":all:", *files)
    session.run(*pip, "--no-build-isolation", "--editable", ".")  # else its build backend would be unlocked
    for link in Path(python).parents[1].glob("lib/python*/site-packages/compile_guide.pth"):
        # Python reads it in the locale's encoding, UTF-8 mode or not: so no folder's name may stand in it.
        link.write_text(os.path.relpath("src", link.parent) + "\n", encoding="ascii")


def backend(mlx: str) -> str:
    """Return the backend of an MLX build; records don't tell CUDA's versions apart."""
    return mlx.rstrip("0123456789")


def record_to_show() -> str:
    """Return the id of the record that the site shows.

    It is the one that ``COMPILE_GUIDE_RECORD`` names; else the one measured last in this checkout. Where nobody has
    measured, as where a site is published, it is the newest of the most telling backend among those that are whole.

    Raises:
        Refusal: there is no record at all, or not the one named.
    """
    there = {path.stem: path for path in RECORDS.glob("*.json")}
    named = os.environ.get("COMPILE_GUIDE_RECORD")
    if named and named not in there:
        raise Refusal(f"COMPILE_GUIDE_RECORD={named}: there is no {RECORDS / named}.json")
    last = LAST_MEASURED.read_bytes().decode("utf-8", "replace").strip() if LAST_MEASURED.is_file() else ""
    if named or last in there:
        return named or last
    if not there:
        raise Refusal(f"{RECORDS} holds no record: `nox -s docs` measures this machine")
    known = [found for path in there.values() if (found := head(path))]
    if not known:
        raise Refusal(f"{RECORDS} holds no record that can be read: `nox -s docs` measures this machine")
    return max(found for found in known if found.is_complete(known)).id


class Head(NamedTuple):
    """What decides between two records: the greater one is shown."""

    backend: int
    """Its place in :data:`BACKENDS_BY_INTEREST`."""
    created: str
    id: str
    comparisons: frozenset[tuple[str, str]]
    """Example and name of each."""

    def is_complete(self, known: list[Head]) -> bool:
        """Return whether it has half of what the fullest has, and of its examples all that newer such records have."""
        half = max(len(one.comparisons) for one in known) / 2
        newer = [one.comparisons for one in known if one.created > self.created and len(one.comparisons) >= half]
        examples = {example for example, _ in self.comparisons}
        lacks = {one for one in set().union(*newer) - self.comparisons if one[0] in examples}
        return len(self.comparisons) >= half and not lacks


def head(path: Path) -> Head | None:
    """Return a record's head; None for a file that is none, which the build then names."""
    if not path.is_file() or path.stat().st_size > 4_000_000:
        return None
    try:
        data = json.loads(path.read_bytes())
        place = BACKENDS_BY_INTEREST.index(data["machine"]["backend"])
        names = frozenset((entry["example"], entry["name"]) for entry in data["comparisons"])
        found = Head(place, data["created"], data["id"], names)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if isinstance(found.created, str) and found.id == path.stem else None


def measure(session: nox.Session, python: str, chosen: Options) -> float:
    """Measure this machine, which leaves a record, and return how many seconds that took."""
    start = time.monotonic()
    session.run(python, "-m", "compile_guide", "record", "--backend", backend(chosen.mlx), *chosen.rest)
    return time.monotonic() - start


def build(session: nox.Session, python: str, measured: float | None = None) -> None:
    """Render the site, and say where it is, what it shows and how long that took."""
    shown = record_to_show()
    start = time.monotonic()
    sphinx = (python, "-m", "sphinx", "-j", "auto", "-c", ".", "docs", "build/html", "-d", str(DOCTREES), "-n", "-W")
    session.run(*sphinx, "--keep-going", "-D", f"compile_guide_record={shown}")
    if read_json(DOCTREES / "compile-guide.json").get("ended") is not True:
        raise Refusal("Sphinx ended with status 0 before the site was finished: something in an example ended it")
    print(f"Site:      {Path('build', 'html', 'index.html').absolute().as_uri()}")
    print(f"Record:    {RECORDS / shown}.json")
    print(f"Measuring: {'not this time' if measured is None else duration(measured)}")
    print(f"Rendering: {duration(time.monotonic() - start)}", flush=True)


def duration(seconds: float) -> str:
    """Return ``seconds`` as a person would say them: ``4.2 s``, ``3 min 12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def command(function: Callable[[nox.Session], None]) -> Callable[[nox.Session], None]:
    """Make a session of ``function``; a Refusal ends it with one line instead of a traceback."""

    @functools.wraps(function)
    def run(session: nox.Session) -> None:
        session.env.update(UTF8)
        try:
            function(session)
        except Refusal as refusal:
            session.error(str(refusal))

    return nox.session(run, name=function.__name__.replace("_", "-"))


@command
def docs(session: nox.Session) -> None:
    """Measure this machine, then build the site from what was measured."""
    chosen = parse(session.posargs, measures=True)
    need_tools(chosen.mlx)
    need_write_access()
    python = environment(session, chosen.mlx, "docs")
    build(session, python, measure(session, python, chosen))


@command
def render(session: nox.Session) -> None:
    """Build the site from the record at hand, without measuring."""
    chosen = parse(session.posargs)
    need_tools(chosen.mlx)  # the examples run here too, their timings aside
    need_write_access()
    record_to_show()  # refuse before installing
    build(session, environment(session, chosen.mlx, "docs"))


@command
def reproduce(session: nox.Session) -> None:
    """Build the site twice, in two folders and environments; fail unless every file is the same."""
    chosen = parse(session.posargs)
    python = environment(session, chosen.mlx, "docs")
    session.run(python, "tests/reproduce.py", "--record", record_to_show())


@command
def record(session: nox.Session) -> None:
    """Measure this machine and leave a record; needs no Sphinx. -- --published measures published packages instead."""
    chosen = parse(session.posargs, measures=True, records=True)
    need_tools(chosen.mlx)
    need_write_access()
    if not chosen.published:
        measure(session, environment(session, chosen.mlx), chosen)
        return
    python = environment(session, chosen.mlx, "published-code", prefix="published-")
    env = {"PYTHONPATH": str(ROOT / "docs")}
    session.run(python, "-m", "published_code", "--backend", backend(chosen.mlx), *chosen.rest, env=env)


@command
def check_record(session: nox.Session) -> None:
    """Check the records named behind --: their form, and whether they can be true."""
    chosen = parse(session.posargs, passes_on=True)
    session.run(environment(session, chosen.mlx), "-m", "compile_guide", "check-record", *chosen.rest)


@command
def claims(session: nox.Session) -> None:
    """Check the statements about MLX again and put the verdicts into this machine's record."""
    chosen = parse(session.posargs)
    need_tools(chosen.mlx)
    session.run(environment(session, chosen.mlx), "-m", "compile_guide", "claims", "--write", str(RECORDS))


@command
def history(session: nox.Session) -> None:
    """Check the statements on older releases of MLX too (needs an index, takes long)."""
    chosen = parse(session.posargs, passes_on=True)
    session.run(
        environment(session, chosen.mlx), "-m", "claims._history", *chosen.rest, env={"PYTHONPATH": str(ROOT / "docs")}
    )


@command
def bench(session: nox.Session) -> None:
    """Compare our estimator with others' on this machine (takes hours; let nothing else run)."""
    chosen = parse(session.posargs, passes_on=True)
    need_tools(chosen.mlx)
    env = {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "docs")))}
    session.run(environment(session, chosen.mlx, "bench"), "-m", "benchmarks", *chosen.rest, env=env)


@command
def tests(session: nox.Session) -> None:
    """Run the tests; what stands behind -- goes to pytest."""
    chosen = parse(session.posargs, passes_on=True)
    need_tools(chosen.mlx)
    session.run(environment(session, chosen.mlx, "docs", "tests", "lint", "audit"), "-m", "pytest", *chosen.rest)


@command
def peer_suite(session: nox.Session) -> None:
    """Run sphinx-gallery's own tests of whole builds, alone and with our extension in their project; takes minutes."""
    chosen = parse(session.posargs, passes_on=True)
    if missing := [package for program, package in PEER_TOOLS.items() if shutil.which(program) is None]:
        raise Refusal(f"sphinx-gallery's tests need programs that are missing: `apt-get install {' '.join(missing)}`")
    need_tools(chosen.mlx)
    python = environment(session, chosen.mlx, "docs", "tests", "peers")
    session.run(python, "tests/peer_suite.py", *chosen.rest)


@command
def browser(session: nox.Session) -> None:
    """Look at the built site in a headless browser; -- --no-lighthouse leaves the audits of speed out."""
    chosen = parse(session.posargs, passes_on=True)
    site = Path("build", "html")
    if not (site / "index.html").is_file():
        raise Refusal(f"{site} holds no site: `nox -s render` builds it")
    python = environment(session, chosen.mlx, "docs", "tests", "browser")
    env = {"PYTHONPATH": str(ROOT / "tests"), "GUIDE_BROWSER_CACHE": str(BROWSER_CACHE)}
    session.run(python, "-m", "browser.needs", str(BROWSER_CACHE), env=env)
    session.run(python, "-m", "pytest", "-q", "tests/browser", env=env)  # checks that miss planted faults say nothing
    session.run(python, "-m", "browser", str(site), "--cache", str(BROWSER_CACHE), *chosen.rest, env=env)


@command
def live(session: nox.Session) -> None:
    """Serve the site on this machine, and build it again and reload it whenever a file changes."""
    chosen = parse(session.posargs, passes_on=True)
    need_tools(chosen.mlx)
    shown = record_to_show()
    python = environment(session, chosen.mlx, "docs", "live")
    watched = [argument for name in ("gallery", "src", "benchmarks", "conf.py") for argument in ("--watch", name)]
    ignored = [argument for name in GENERATED for argument in ("--re-ignore", name)]
    options = ["-c", ".", "docs", "build/html", "-d", str(DOCTREES), "-n", "-D", f"compile_guide_record={shown}"]
    session.run(python, "-m", "sphinx_autobuild", *options, *watched, *ignored, *chosen.rest)


@command
def lint(session: nox.Session) -> None:
    """Check style, types, that the locks fit pyproject.toml, GitHub's workflows (form, safety), and shell scripts."""
    python = environment(session, parse(session.posargs).mlx, "docs", "tests", "lint")  # mypy looks at what is imported
    actionlint, zizmor = (str(Path(python).with_name(t)) for t in ("actionlint", "zizmor"))
    path = f"{Path(python).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    shells = shutil.which("shellcheck", path=path)  # first of all: where it's missing, actionlint says nothing
    if shells is None:
        raise Refusal(
            "shellcheck is missing, and has no wheel for this machine: install it (`apt-get install shellcheck`)"
        )
    session.run(python, "-m", "ruff", "check", ".")
    session.run(python, "-m", "ruff", "format", "--check", ".")
    session.run(python, "-m", "mypy")
    session.run(python, "requirements/locks.py", "check")
    workflows = sorted(map(str, Path(".github", "workflows").glob("*.yml")))
    session.run(python, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    session.run(shells, "--severity=warning", ".ci/run")
    session.run(actionlint, "-no-color", "-shellcheck", shells, "-pyflakes", "", *workflows)
    session.run(zizmor, "--offline", "--no-progress", *workflows)


@command
def audit(session: nox.Session) -> None:
    """Ask a database whether a version in the locks has a known vulnerability; without an answer, fail."""
    chosen = parse(session.posargs, passes_on=True)
    session.run(environment(session, chosen.mlx, "audit"), "requirements/audit.py", *chosen.rest)


@command
def lock(session: nox.Session) -> None:
    """Make the locks again, keeping versions that still fit; -- --upgrade takes the newest."""
    chosen = parse(session.posargs, passes_on=True)
    session.run(environment(session, chosen.mlx, "lint"), "requirements/locks.py", "make", *chosen.rest)


if __name__ == "__main__":
    nox.main()
