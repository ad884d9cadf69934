"""Build the site twice, from two folders in two environments, and compare every file: ``python -m compile_guide.reproduce``.

What a build may depend on is the commit and the versions of the packages it runs with. So the second build differs in
all the rest: folder, clock, time zone, locale, umask, the seed of Python's hashes, the home folder, the number of jobs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = ("conf.py", "CHANGELOG.md", "pyproject.toml", "docs", "gallery", "src")
MADE = shutil.ignore_patterns("__pycache__", "*.pyc", "sg_*", "*.egg-info")
CLOCKS = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/opt/homebrew/lib/faketime/libfaketimeMT.1.dylib")
"""Where libfaketime is, on Debian and with Homebrew; without it the clock isn't varied, and the table says so."""


@dataclass(frozen=True)
class Place:
    """Where and how one build runs: a folder's name, environment variables (None unsets one), umask, jobs."""

    folder: str
    umask: int
    jobs: int
    env: Mapping[str, str | None] = field(default_factory=dict)


ONE = Place("a", 0o022, 1, {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"})
OTHER = Place(
    "another folder, with ü", 0o077, 2,
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "POSIX", "LANGUAGE": "de", "PYTHONHASHSEED": "77777"},
)  # fmt: skip


class ReproduceError(RuntimeError):
    """A build failed, so there is nothing to compare; the message ends with what it printed last."""


def clock() -> dict[str, str | None]:
    """Return the variables that put a process into another year, none where libfaketime isn't installed."""
    library = next((str(file) for pattern in CLOCKS for file in sorted(Path("/").glob(pattern[1:]))), None)
    if library is None:
        return {}
    preload = "DYLD_INSERT_LIBRARIES" if sys.platform == "darwin" else "LD_PRELOAD"
    return {preload: library, "FAKETIME": "+1234d", "NO_FAKE_STAT": "1"}


def copy_tree(tree: Path, target: Path) -> None:
    """Copy what a build needs from a checkout, and nothing that a build left there."""
    target.mkdir(parents=True)
    for name in NEEDED:
        if (tree / name).is_dir():
            shutil.copytree(tree / name, target / name, ignore=MADE)
        elif (tree / name).exists():
            shutil.copy(tree / name, target / name)
    shutil.rmtree(target / "docs" / "gallery", ignore_errors=True)


def build(tree: Path, place: Place, record: str = "") -> Path:
    """Build the site of ``tree`` as ``place`` says; return the folder of the pages.

    Raises:
        ReproduceError: the build failed.
    """
    argv = [
        sys.executable,
        "-m",
        "sphinx",
        "-c",
        ".",
        "docs",
        "build/html",
        "-d",
        "build/doctrees",
        "-n",
        "-W",
        "--keep-going",
        "-q",
    ]
    argv += ["-j", str(place.jobs), *(["-D", f"compile_guide_record={record}"] if record else [])]
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
    rows += [(name, _shown(one, name), _shown(other, name)) for name in sorted({*one.env, *other.env})]
    return [row for row in rows if row[1] != row[2]]


def _shown(place: Place, name: str) -> str:
    value = place.env.get(name, os.environ.get(name))
    return "not set" if value is None else value


def twice(tree: Path, folder: Path, record: str = "") -> tuple[list[tuple[str, str, str]], list[str], int]:
    """Build copies of ``tree`` in two places; return what was varied, the files that differ, and how many there are.

    Raises:
        ReproduceError: a build failed.
    """
    home = folder / "no home"
    other = Place(OTHER.folder, OTHER.umask, OTHER.jobs, {**OTHER.env, **clock(), "HOME": str(home)})
    outs = []
    for place in (ONE, other):
        copy_tree(tree, folder / place.folder / "tree")
        outs.append(build(folder / place.folder / "tree", place, record))
    return varied(ONE, other), differing(*outs), len(digests(outs[0]))


def main(argv: list[str] | None = None) -> int:
    """Build twice, print what was varied and what differs; return 1 when anything does, 2 when a build failed."""
    parser = argparse.ArgumentParser("python -m compile_guide.reproduce", description=__doc__)
    parser.add_argument("--record", default="", metavar="ID", help="the record that the site shows")
    parser.add_argument("--tree", type=Path, default=Path(), metavar="DIR", help="the checkout (default: here)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave both builds in DIR, a new folder")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="reproduce-") as temp:
        try:
            rows, names, count = twice(options.tree.resolve(), options.keep or Path(temp), options.record)
        except ReproduceError as error:
            print(f"reproduce: {error}", file=sys.stderr)
            return 2
    print("\n".join(f"{what:<28} {here}  |  {there}" for what, here, there in rows))
    if not clock():
        print("The clock was not varied: libfaketime is not installed (Debian: apt-get install libfaketime)")
    print("\n".join([*(f"differs: {name}" for name in names), f"{len(names)} differing files of {count}"]))
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
