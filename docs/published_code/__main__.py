"""``python -m published_code``: measure the published packages that are installed here, and write one file of results.

It runs in any Python that has this package and MLX; a package that is missing is a row that says so. The first process of each
script builds all kernels, which takes minutes, and the others find them: the times of first calls are not reported.

On a machine without a network, install the wheels of ``requirements/published-code.txt`` with ``pip install --no-deps --no-index
WHEEL ...`` (keras-mlx asks for an older MLX, hence ``--no-deps``). Then run in the project's folder::

    PYTHONPATH=src:docs python -m published_code --backend cuda --out FILE

``--processes 1 --budget 0.1 --no-reports`` is a quick look. ``--only NAME`` measures a single comparison, and keeps what the file
has of the others: where one command may not take long, some at a time make up the whole. The file belongs into
``docs/published_code/results``, under the id of the machine's record.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from compile_guide import CompileGuideError
from compile_guide._process import private_folder
from compile_guide.recorder.measure import Plan, Result, build_record, machine_facts, run_examples
from compile_guide.records.schema import MAX_PROCESSES, Machine
from published_code import reports
from published_code.functions import CASES
from published_code.observing import FOLDER, ONLY
from published_code.packages import OTHERS, PACKAGES, look, version_of
from published_code.programs import PROGRAMS
from published_code.results import Package, Report, Results, Seen, add, decode_seen, load, save

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
SCRIPTS = tuple(sorted((HERE / "gallery").glob("*.py")))
NAMES = {
    "published_functions": tuple(one.name for one in CASES),
    "published_programs": tuple(one.name for one in PROGRAMS),
}
"""The comparisons of each script."""
KERNELS = "published_programs"
"""The script that builds most kernels that the reports need."""
BUDGET_S = 1.2
"""Seconds for a comparison, over all its processes."""
LIMIT_S = 900.0
"""Seconds that one process may take; the first one builds all kernels."""


def main() -> int:
    """Measure, and write the file; its path is the last line printed."""
    options = parser().parse_args()
    RESULTS.mkdir(exist_ok=True)  # git keeps no empty folder
    if wrong := fault(options):
        parser().error(wrong)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(HERE.parents[1] / "src"), str(HERE.parent)]
    )  # children run elsewhere
    os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"})
    if options.only:
        os.environ[ONLY] = ",".join(options.only)
    try:
        return measure(options)
    except CompileGuideError as error:
        print(f"published_code: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m published_code", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    made.add_argument("--out", type=Path, metavar="FILE", help="where to write (default: results/<machine>.json)")
    made.add_argument("--backend", choices=("metal", "cuda", "cpu"), help="refuse to measure another than this one")
    made.add_argument("--budget", type=float, default=BUDGET_S, metavar="S", help="seconds for a comparison")
    made.add_argument("--processes", type=int, default=Plan.processes, metavar="N", help="six give an interval")
    made.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="measure this comparison alone, without reports; may be repeated",
    )
    made.add_argument("--no-reports", action="store_true", help="leave out what compile-guide watch reports")
    return made


def fault(options: argparse.Namespace) -> str:
    """Return what is wrong with the options, "" where nothing is: it is told before anything is measured, not after."""
    names = [name for names in NAMES.values() for name in names]
    if unknown := [name for name in options.only or () if name not in names]:
        return f"no {unknown[0]!r}; there are {', '.join(names)}"
    if not (0.001 <= options.budget <= 3600 and 1 <= options.processes <= MAX_PROCESSES):
        return f"a budget is between 0.001 and 3600 seconds, and there are between 1 and {MAX_PROCESSES} processes"
    folder = options.out.parent if options.out else RESULTS
    return "" if folder.is_dir() and os.access(folder, os.W_OK) else f"{folder} is no folder that can be written to"


def measure(options: argparse.Namespace) -> int:
    """Run the scripts and the watched programs; what failed is said, and the rest is written."""
    plan = Plan(scripts_of(options.only), options.budget, options.processes, limit_s=LIMIT_S)
    with private_folder() as temp:
        machine = machine_facts(temp, options.backend)
        path = options.out or RESULTS / f"{machine.id}.json"
        before = load(path) if path.exists() else None  # a file that is something else isn't overwritten
        if before and options.only:
            add(before, gather(plan, machine, [], (), ()))  # what can't be added to is told before anything is measured
        folder = temp / "seen"
        folder.mkdir()
        os.environ[FOLDER] = str(folder)
        found = run_examples(plan, machine, temp, _say)
        failed = [f"{result.name}: {result.failure}" for result in found if result.failure]
        files = sorted(folder.glob("*.json"))
        seen = tuple(decode_seen(file.read_bytes()) for file in files)
        without = options.no_reports or options.only
        made, wrong = ([], []) if without else reports.make(temp, temp / KERNELS / "tmp", _say)
        results = gather(plan, machine, found, seen, tuple(made))
    save(add(before, results) if before and options.only else results, path)
    for line in (*failed, *wrong):
        print(f"published_code: {line}", file=sys.stderr)
    print(path)
    return int(bool(failed or wrong))


def scripts_of(only: list[str] | None) -> tuple[Path, ...]:
    """Return the scripts that have one of these comparisons; all of them where none is named."""
    return tuple(script for script in SCRIPTS if not only or {*NAMES[script.stem]} & {*only})


def gather(
    plan: Plan, machine: Machine, found: list[Result], seen: tuple[Seen, ...], made: tuple[Report, ...]
) -> Results:
    """Return all that was found as one."""
    record = build_record(plan, machine, found, None, frozenset(script.stem for script in SCRIPTS))
    others = (Package(name, version_of(name)) for name in OTHERS)
    return Results(record, (*map(look, PACKAGES), *others), seen, made)


def _say(what: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
