"""Build the site twice, from two folders in two environments, and compare every file: ``python tests/reproduce.py``.

What a build may depend on is the commit and the versions of the packages it runs with. So the second build differs in
all the rest: folder, clock, time zone, locale, umask, the seed of Python's hashes, the home folder, the number of jobs.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

SPHINX = ("-m", "sphinx", "-c", ".", "docs", "build/html", "-d", "build/doctrees", "-n", "-W", "--keep-going", "-q")
NEEDED = ("conf.py", "pyproject.toml", "CHANGELOG.md", "docs", "gallery", "src", "benchmarks")
"""What a build of the site reads of a checkout."""
MADE = re.compile(r"docs/gallery/|docs/sg_|(.*/)?(__pycache__|[^/]+\.egg-info)/|.*\.pyc$")
"""What builds and Python leave among it."""
DAYS = 1234
AHEAD = f"""
#include <ctime>
#include <dlfcn.h>
#include <sys/time.h>
const long ahead = {DAYS} * 86400L;
template <typename F> F real(F, const char *name) {{ return reinterpret_cast<F>(dlsym(RTLD_NEXT, name)); }}
extern "C" int clock_gettime(clockid_t id, timespec *now) noexcept {{
    int status = real(&clock_gettime, "clock_gettime")(id, now);
    if (status == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead;
    return status;
}}
extern "C" int gettimeofday(timeval *now, void *zone) noexcept {{
    int status = real(&gettimeofday, "gettimeofday")(now, zone);
    now->tv_sec += ahead;
    return status;
}}
extern "C" time_t time(time_t *now) noexcept {{
    timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now) *now = found.tv_sec;
    return found.tv_sec;
}}
"""
"""A library that puts a process into another year. Clocks by which one waits stay true: libfaketime turns those too, and
Python then waits for years, or can't sleep."""
PRELOAD = "LD_PRELOAD"


@dataclass(frozen=True)
class Place:
    """Where and how one build runs: a folder's name, umask, jobs, environment variables (None unsets one), and by what."""

    folder: str
    umask: int
    jobs: int
    env: Mapping[str, str | None] = field(default_factory=dict)
    python: str = sys.executable


UTF8 = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"  # the one that every version of the system has
ONE = Place("a", 0o022, 1, {"TZ": "UTC", "LC_ALL": UTF8, "PYTHONHASHSEED": "1"})
OTHER = Place(
    "another folder, with ü", 0o077, 2,
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "POSIX", "LANGUAGE": "de", "PYTHONHASHSEED": "77777"},
)  # fmt: skip


class ReproduceError(Exception):
    """A build failed, so there is nothing to compare; the message ends with what it printed last."""


def files_of(tree: Path) -> Iterator[Path]:
    """Yield, relative to ``tree``, the files of a checkout that a build reads, and none that a build has made."""
    for name in NEEDED:
        found = [tree / name] if (tree / name).is_file() else sorted((tree / name).rglob("*"))
        inside = [file.relative_to(tree) for file in found if file.is_file()]
        yield from (file for file in inside if not MADE.match(file.as_posix()))


def copy_tree(tree: Path, target: Path) -> None:
    """Copy what a build reads of a checkout to ``target``, a new folder; Sphinx compares times, so each file keeps its own.

    Raises:
        FileExistsError: the folder is there already.
    """
    target.mkdir(parents=True)
    for name in files_of(tree):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tree / name, target / name)  # not its mode: a file may be read-only
        seen = (tree / name).stat()
        os.utime(target / name, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def clock(folder: Path) -> dict[str, str | None]:
    """Return the variable that puts a process into another year; none but on Linux, where g++ builds what it needs."""
    if sys.platform != "linux" or shutil.which("g++") is None or re.search(r"[\s:]", str(folder)):
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clock.cpp").write_text(AHEAD, encoding="utf-8")
    subprocess.run(["g++", "-shared", "-fPIC", "clock.cpp", "-o", "clock.so"], cwd=folder, check=True)
    return {PRELOAD: str(folder / "clock.so")}


def build(tree: Path, place: Place, record: str = "") -> Path:
    """Build the site of ``tree`` as ``place`` says; return the folder of the pages.

    Raises:
        ReproduceError: the build failed.
    """
    argv = [place.python, *SPHINX, "-j", str(place.jobs)]
    argv += ["-D", f"compile_guide_record={record}"] if record else []
    wanted = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1", **place.env}
    env = {name: value for name, value in wanted.items() if value is not None}
    done = subprocess.run(argv, cwd=tree, env=env, capture_output=True, umask=place.umask, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace")[-2000:]
        raise ReproduceError(f"the build in {tree} failed with status {done.returncode}:\n{said}")
    return tree / "build" / "html"


def digests(folder: Path) -> dict[str, str]:
    """Return a digest of every file below a folder, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def differing(one: Path, other: Path) -> list[str]:
    """Return the files that differ between two folders, or that only one of them has."""
    a, b = digests(one), digests(other)
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def varied(one: Place, other: Place) -> list[tuple[str, str, str]]:
    """Return what differs between two places, as (what, here, there)."""
    rows = [("folder", one.folder, other.folder), ("umask", f"{one.umask:03o}", f"{other.umask:03o}")]
    rows += [("jobs", str(one.jobs), str(other.jobs))]
    rows += [("Python", _version(one.python), _version(other.python))]
    names = sorted({*one.env, *other.env})
    rows += [("clock" if name == PRELOAD else name, _shown(one, name), _shown(other, name)) for name in names]
    return [row for row in rows if row[1] != row[2]]


def _shown(place: Place, name: str) -> str:
    value = place.env.get(name, os.environ.get(name))
    if name == PRELOAD:
        return f"{DAYS} days ahead" if value else "true"
    return "not set" if value is None else value


@functools.cache
def _version(python: str) -> str:
    argv = [python, "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def twice(
    tree: Path, folder: Path, record: str = "", python: str = sys.executable
) -> tuple[list[tuple[str, str, str]], list[str], int]:
    """Build copies of ``tree`` in two places; return what was varied, the files that differ, and how many there are.

    ``python`` builds the second one; it needs the same versions of all packages.

    Raises:
        ReproduceError: a build failed.
    """
    home = folder / "no home"
    other = Place(OTHER.folder, OTHER.umask, OTHER.jobs, {**OTHER.env, **clock(folder), "HOME": str(home)}, python)
    for place in (ONE, other):
        copy_tree(tree, folder / place.folder / "tree")  # both before a build: somebody may go on editing
    with ThreadPoolExecutor() as both:
        outs = list(both.map(lambda place: build(folder / place.folder / "tree", place, record), (ONE, other)))
    return varied(ONE, other), differing(*outs), len(digests(outs[0]))


def main(argv: list[str] | None = None) -> int:
    """Build twice, print what was varied and what differs; return 1 when anything does, 2 when a build failed."""
    parser = argparse.ArgumentParser("reproduce", description=__doc__)
    parser.add_argument("--record", default="", metavar="ID", help="the record that the site shows")
    parser.add_argument("--tree", type=Path, default=Path(), metavar="DIR", help="the checkout (default: here)")
    parser.add_argument("--python", default=sys.executable, metavar="FILE", help="another Python, for the second build")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave both builds in DIR, a new folder")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="reproduce-") as temp:
        try:
            folder = options.keep or Path(temp)
            rows, names, count = twice(options.tree.resolve(), folder, options.record, options.python)
        except (ReproduceError, OSError) as error:
            print(f"reproduce: {error}", file=sys.stderr)
            return 2
    print("\n".join(f"{what:<28} {here}  |  {there}" for what, here, there in rows))
    if not any(what == "clock" for what, _, _ in rows):
        print("The clock was not varied: that takes Linux, g++, and a folder without spaces in its name")
    print("\n".join([*(f"differs: {name}" for name in names), f"{len(names)} differing files of {count}"]))
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
