"""Measure: run every example in processes of its own, one after the other, and gather what they report into a record."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from compile_guide import __version__
from compile_guide import _process as process
from compile_guide.recorder.machine import Machine
from compile_guide.recorder.measure import system_load as load
from compile_guide.recorder.measure import thermal as heat
from compile_guide.recorder.worker import MARKER, NO_PLOTS
from compile_guide.records import schema as record
from compile_guide.timing import REPLAY, SINK, Comparison, from_dict

PROCESSES = 6
"""The fewest for a distribution-free 95 % interval between processes (see :func:`timing.median_interval`)."""
BUDGET_S = 2.0
HALF_WIDTH = 0.02
LIMIT_S = 180.0


class RecorderError(RuntimeError):
    """Nothing could be measured, in one line that says what to do."""


@dataclass(frozen=True)
class Plan:
    """What to measure: scripts, seconds a comparison over all processes, processes an example, seconds a process may take."""

    examples: tuple[Path, ...]
    budget_s: float = BUDGET_S
    processes: int = PROCESSES
    half_width: float = HALF_WIDTH
    limit_s: float = LIMIT_S


@dataclass(frozen=True)
class Step:
    """One process that is about to run or running: which example, which round, and the comparison finished last."""

    example: str
    round: int
    rounds: int
    last: str | None = None


@dataclass
class Gathered:
    """What the processes of one example have reported so far."""

    script: Path
    temp: Path
    runs: dict[str, Comparison] = field(default_factory=dict)
    rounds: int = 0
    failure: str | None = None
    others: float | None = None
    """Processors that other programs kept busy, on average in the worst of the processes; None if unknown."""
    throttled: bool | None = None
    """Whether the machine slowed itself down for heat while one of them ran; None if unknown."""

    @property
    def name(self) -> str:
        """The example's name: the script's without its ending."""
        return self.script.stem

    def add(self, seen: list[Comparison]) -> str | None:
        """Add one process's comparisons; return what is wrong with them, if anything."""
        names = [c.name for c in seen]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            return f"comparison {twice[0]!r} was made twice: give each a name of its own"
        if self.rounds and set(names) != set(self.runs):
            return f"made other comparisons than in the process before: {sorted(set(names) ^ set(self.runs))}"
        for one in seen:
            before = self.runs.get(one.name)
            # A later process's "too slow" beside measured runs is dropped: what was measured stays.
            runs = (*before.runs, *one.runs) if before else one.runs
            slow = None if runs else one.slow_call_s
            note = one.note or (before.note if before else "")
            self.runs[one.name] = Comparison(one.name, runs, one.bytes_moved, slow, note)
        self.rounds += 1
        return None

    def disturbed(self, others: float | None, throttled: bool | None) -> None:
        """Keep in mind what went on while a process ran: the most that other programs took, and any heat."""
        if others is not None:
            self.others = round(max(others, self.others or 0.0), 2)
        if throttled is not None:
            self.throttled = throttled or bool(self.throttled)


def find_examples(gallery: Path, names: Iterable[str] = ()) -> tuple[Path, ...]:
    """Return the gallery's scripts in order of path, or those of the given names.

    Raises:
        RecorderError: there is no such folder or example, or two scripts have one name.
    """
    scripts = sorted(p for p in gallery.glob("*/*.py") if not p.name.startswith("_"))
    if not scripts:
        raise RecorderError(f"no examples under {gallery}: run this in the project's folder")
    known = {script.stem: script for script in scripts}
    if len(known) < len(scripts):
        raise RecorderError("two examples have one file name: a record tells examples apart by it")
    if unknown := sorted(set(names) - set(known)):
        raise RecorderError(f"no example {unknown[0]!r}; there are: {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names)) or tuple(scripts)


def machine_facts(folder: Path, backend: str | None = None) -> Machine:
    """Ask a process of its own about the machine, and whether compiled functions compile there at all.

    Raises:
        RecorderError: MLX is missing or too old, compiled functions would run uncompiled, or MLX doesn't compute on
            the ``backend`` that was asked for.
    """
    argv = [sys.executable, "-m", "compile_guide", "machine", "--json", "--check"]
    env = {SINK: None, REPLAY: None, **_gpu_caches(folder / "tmp")}
    ended = process.run(argv, folder=folder, limit_s=LIMIT_S, env=env, temp=folder / "tmp")
    if ended.returncode:
        raise RecorderError(last_line(ended.output) or f"can't look at this machine: {ended.reason}")
    found = Machine(**json.loads(last_line(ended.output)))
    if backend not in (None, found.backend):
        raise RecorderError(
            f"{backend} was asked for, but MLX {found.mlx} computes on {found.backend} here: is the GPU there, its driver"
            f" running, and MLX built for it?  --backend {found.backend} measures what is there"
        )
    return found


def last_line(output: str) -> str:
    """Return the last line that isn't blank, without "python: error:" or "compile_guide:" before it."""
    lines = [line for line in output.splitlines() if line.strip()]
    return re.sub(r"^(\S+: error|compile_guide): ", "", lines[-1]) if lines else ""


def measure(plan: Plan, machine: Machine, folder: Path, show: Callable[[Step], None]) -> list[Gathered]:
    """Run all examples round by round, so that an interval between processes also covers the machine's slow moods.

    An example that fails in one round isn't run again; the others go on. Each starts with the one kernel that
    :func:`machine_facts` left in ``folder``: every process checks that compiling works, and none should build for it.
    """
    all_of_them = [Gathered(script, folder / script.stem / "tmp") for script in plan.examples]
    for gathered in all_of_them:
        shutil.copytree(folder / "tmp", gathered.temp)
    for number in range(plan.processes):
        for gathered in all_of_them:
            if gathered.failure is None:
                gathered.failure = _one_process(plan, machine, gathered, folder, number, show)
    return all_of_them


def _one_process(
    plan: Plan, machine: Machine, gathered: Gathered, folder: Path, number: int, show: Callable[[Step], None]
) -> str | None:
    """Run one process of one example and add what it reports; return why it failed, if it did."""
    place = folder / gathered.name / str(number)
    place.mkdir(parents=True)
    sink = place / "sink.jsonl"
    sink.write_text(json.dumps(_settings(plan, machine, gathered, number)) + "\n", encoding="utf-8")
    argv = [sys.executable, "-m", "compile_guide.recorder.worker", str(gathered.script.resolve()), str(sink)]
    argv += [NO_PLOTS] * (number > 0)  # the first process has shown that the script can draw its plots

    def tick() -> None:
        lines = [line for line in sink.read_text(encoding="utf-8", errors="replace").splitlines()[1:] if "name" in line]
        last = re.search(r'"name": "([^"]+)"', lines[-1]) if lines else None
        show(Step(gathered.name, number + 1, plan.processes, last[1] if last else None))

    show(Step(gathered.name, number + 1, plan.processes))
    before, cool = load.look(), heat.feel(gpu=machine.backend == "cuda")
    ended = process.run(
        argv,
        folder=place,
        limit_s=plan.limit_s,
        env={SINK: str(sink), REPLAY: None, **_gpu_caches(gathered.temp)},
        temp=gathered.temp,
        tick=tick,
    )
    others = load.others(before, load.look())
    gathered.disturbed(others, heat.grew_hot(cool, heat.feel(gpu=machine.backend == "cuda")))
    if ended.timed_out or ended.returncode:
        return f"{ended.reason}: {last_line(ended.output)}" if last_line(ended.output) else ended.reason
    lines = [json.loads(line) for line in sink.read_text(encoding="utf-8").splitlines()[1:]]
    if not lines or lines[-1] != MARKER:
        return "ended before its last line, with status 0"
    return gathered.add([from_dict(line) for line in lines[:-1]])


def _gpu_caches(temp: Path) -> dict[str, str | None]:
    """Return what tells CUDA and MLX to keep what they build for a GPU under ``temp``, as g++'s kernels are."""
    return {"CUDA_CACHE_PATH": str(temp / "nv"), "MLX_PTX_CACHE_DIR": str(temp / "ptx")}


def _settings(plan: Plan, machine: Machine, gathered: Gathered, number: int) -> dict[str, object]:
    # macOS keeps Metal's compiled kernels where no environment variable reaches, so there nobody knows.
    first = "unknown" if machine.backend == "metal" else "empty"
    slow = {name: c.slow_call_s for name, c in gathered.runs.items() if c.slow_call_s is not None}
    share, cache = plan.budget_s / plan.processes, "warm" if number else first
    # Only the first process runs its script to the end: what stands after the last comparison has been tried then.
    already = {"cache": cache, "slow": slow, "comparisons": len(gathered.runs)}
    return {"budget_s": share, "half_width": plan.half_width, **already}


def build_record(
    plan: Plan,
    machine: Machine,
    gathered: list[Gathered],
    before: record.Record | None,
) -> record.Record:
    """Make the record of what was measured; what wasn't measured again is kept from ``before``.

    Raises:
        RecorderError: two examples use one comparison name.
    """
    entries = [
        record.Entry(g.name, c.name, *(_runs(c), c.bytes_moved, c.slow_call_s, c.note, g.others, g.throttled))
        for g in gathered
        if g.failure is None
        for c in g.runs.values()
    ]
    measured = {g.name for g in gathered}
    kept = [entry for entry in (before.comparisons if before else ()) if entry.example not in measured]
    names: dict[str, str] = {}
    for entry in (*entries, *kept):
        if names.setdefault(entry.name, entry.example) != entry.example:
            raise RecorderError(f"comparison {entry.name!r} stands in both {names[entry.name]} and {entry.example}")
    return record.Record(
        schema=record.SCHEMA,
        id=machine.id,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        guide=__version__,
        machine=record.machine_of(machine),
        # Settings speak of the whole record: a few examples measured in another way don't change them.
        settings=before.settings
        if before and kept
        else record.Settings(plan.budget_s, plan.processes, plan.half_width),
        comparisons=tuple(sorted((*entries, *kept), key=lambda entry: (entry.example, entry.name))),
        claims=before.claims if before else (),
        tables=before.tables if before else record.Tables(),
    )


def _runs(comparison: Comparison) -> tuple[record.Run, ...]:
    return tuple(record.Run(**asdict(run)) for run in comparison.runs)


def private_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temp folder of our own for all that one recording writes."""
    return tempfile.TemporaryDirectory(prefix="compile-guide-")
