"""Measure the examples: run each in several processes, one after the other, and make a record of what they report."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from compile_guide import CompileGuideError, __version__, _process
from compile_guide._process import last_line
from compile_guide.recorder import conditions
from compile_guide.recorder.worker import MARKER, NO_PLOTS
from compile_guide.records import schema
from compile_guide.records.schema import Entry, Machine, Record, RecordError, Settings, Tables
from compile_guide.timing import LONG_S, REPLAY, SINK


class RecorderError(CompileGuideError):
    """Nothing was measured, or it can't be kept: one line that says what to do."""


@dataclass(frozen=True)
class Plan:
    """What to measure: scripts, seconds a comparison over all processes, processes an example, seconds a process may take."""

    examples: tuple[Path, ...]
    budget_s: float = 2.0
    processes: int = 6
    """The default is the fewest for an interval between processes (see :func:`comparison.median_interval`)."""
    half_width: float = 0.02
    limit_s: float = 180.0


@dataclass
class Result:
    """What the processes of one example have reported so far."""

    script: Path
    temp: Path
    entries: dict[str, Entry] = field(default_factory=dict)
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

    def add(self, reported: list[Entry]) -> str | None:
        """Add one process's comparisons; return what is wrong with them, if anything."""
        names = [entry.name for entry in reported]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            return f"comparison {twice[0]!r} was made twice: give each a name of its own"
        if self.rounds and set(names) != set(self.entries):
            return f"made other comparisons than in the process before: {sorted(set(names) ^ set(self.entries))}"
        for one in reported:
            before = self.entries.get(one.name)
            # A later process's "too slow" beside measured runs is dropped: what was measured stays.
            runs = (*before.runs, *one.runs) if before else one.runs
            slow = None if runs else one.slow_call_s
            note = one.note or (before.note if before else "")
            self.entries[one.name] = Entry(self.name, one.name, runs, one.bytes_moved, slow, note)
        self.rounds += 1
        return None

    def note_disturbance(self, others: float | None, throttled: bool | None) -> None:
        """Keep what went on while a process ran: the most that other programs took, and any heat."""
        self.others = self.others if others is None else round(max(others, self.others or 0.0), 2)
        self.throttled = self.throttled if throttled is None else throttled or bool(self.throttled)


def machine_facts(folder: Path, backend: str | None = None) -> Machine:
    """Ask a process of its own about the machine, and whether compiled functions compile there at all.

    Raises:
        RecorderError: MLX is missing or too old, compiled functions would run uncompiled, or MLX doesn't compute on
            the ``backend`` that was asked for.
    """
    argv = [sys.executable, "-m", "compile_guide", "machine", "--json", "--check"]
    env = {SINK: None, REPLAY: None, **_gpu_caches(folder / "tmp")}
    ended = _process.run(argv, folder=folder, limit_s=Plan.limit_s, env=env, temp=folder / "tmp")
    if ended.returncode:
        raise RecorderError(last_line(ended.output) or f"can't look at this machine: {ended.reason}")
    machine = schema.machine_of(json.loads(last_line(ended.output)))
    if backend not in (None, machine.backend):
        raise RecorderError(
            f"{backend} was asked for, but MLX {machine.mlx} computes on {machine.backend} here: check that the GPU is"
            f" there, its driver runs, and MLX is built for it; --backend {machine.backend} measures what is there"
        )
    return machine


def run_examples(
    plan: Plan, machine: Machine, folder: Path, show: Callable[[str], None], taken: Mapping[str, str] | None = None
) -> list[Result]:
    """Run all examples, round by round, so that an interval between processes also covers slow drifts of the machine.

    An example that fails in one round isn't run again; the others go on. Each starts with the one kernel that
    :func:`machine_facts` left in ``folder``: every process checks that compiling works, and none should build for it.
    ``taken`` are names of comparisons that other examples have, by name.
    """
    owners = dict(taken or {})
    results = [Result(script, folder / script.stem / "tmp") for script in plan.examples]
    for result in results:
        shutil.copytree(folder / "tmp", result.temp)
    for number in range(plan.processes):
        for result in results:
            if result.failure is None:
                try:
                    result.failure = _one_process(plan, machine, result, folder, number, show)
                except (OSError, RecordError) as error:
                    result.failure = f"not measured: {error}"
            for name in result.entries:
                if (owner := owners.setdefault(name, result.name)) != result.name:
                    moved = f", or record {owner} as well if it moved from there" if name in (taken or {}) else ""
                    result.failure = f"comparison {name!r} stands in {owner} too: give each a name of its own{moved}"
    return results


def _one_process(
    plan: Plan, machine: Machine, result: Result, folder: Path, number: int, show: Callable[[str], None]
) -> str | None:
    place = folder / result.name / str(number)
    place.mkdir(parents=True)
    sink = place / "sink.jsonl"
    sink.write_text(json.dumps(_settings(plan, machine, result, number)) + "\n", encoding="utf-8")
    argv = [sys.executable, "-m", "compile_guide.recorder.worker", str(result.script.resolve()), str(sink)]
    argv += [NO_PLOTS] * (number > 0)  # the first process has shown that the script can draw its plots

    show(f"{result.name} (round {number + 1} of {plan.processes})")
    before = conditions.snapshot(gpu=machine.backend == "cuda")
    env = {SINK: str(sink), REPLAY: None, **_gpu_caches(result.temp)}
    ended = _process.run(argv, folder=place, limit_s=plan.limit_s, env=env, temp=result.temp)
    after = conditions.snapshot(gpu=machine.backend == "cuda")
    result.note_disturbance(conditions.others_between(before, after), conditions.throttled(before, after))
    if ended.timed_out or ended.returncode:
        return ": ".join(filter(None, [ended.reason, last_line(ended.output)]))
    lines = schema.read(sink).decode("utf-8", "replace").splitlines()[1:]
    if not lines or lines[-1] != json.dumps(MARKER):
        return "ended before its last line, with status 0"
    return result.add([schema.entry_of(result.name, line) for line in lines[:-1]])


def _gpu_caches(temp: Path) -> dict[str, str | None]:
    return {"CUDA_CACHE_PATH": str(temp / "nv"), "MLX_PTX_CACHE_DIR": str(temp / "ptx")}


def _settings(plan: Plan, machine: Machine, result: Result, number: int) -> dict[str, object]:
    # macOS keeps Metal's compiled kernels where no environment variable reaches, so there the cache's state is unknown.
    cache = "warm" if number else "unknown" if machine.backend == "metal" else "empty"
    slow = {name: entry.slow_call_s for name, entry in result.entries.items() if entry.slow_call_s is not None}
    long = [e.name for e in result.entries.values() if all(min(*r.baseline_s, *r.candidate_s) > LONG_S for r in e.runs)]
    # Only the first process runs its script to the end, and tries what stands after the last comparison.
    already = {"cache": cache, "slow": slow, "long": long, "comparisons": len(result.entries)}
    return {"budget_s": plan.budget_s / plan.processes, "half_width": plan.half_width, **already}


def build_record(
    plan: Plan, machine: Machine, results: list[Result], before: Record | None, existing: frozenset[str]
) -> Record:
    """Make the record of what was measured, and keep from ``before``, this machine's so far, what was not measured again.

    Examples that failed are left out. ``existing`` are the names of all examples: where all were measured, comparisons of
    others aren't kept.
    """
    measured = [result for result in results if result.failure is None]
    entries = [
        Entry(r.name, e.name, e.runs, e.bytes_moved, e.slow_call_s, e.note, r.others, r.throttled)
        for r in measured
        for e in r.entries.values()
    ]
    examples, names = {result.name for result in measured}, {entry.name for entry in entries}
    partial = existing - {result.name for result in results}
    kept = [
        entry
        for entry in (before.comparisons if before else ())
        if entry.example not in examples and entry.name not in names and (partial or entry.example in existing)
    ]
    return Record(
        schema=schema.SCHEMA,
        id=machine.id,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        guide=__version__,
        machine=machine,
        # Settings speak of the whole record: a few examples measured in another way don't change them.
        settings=before.settings if before and kept else Settings(plan.budget_s, plan.processes, plan.half_width),
        comparisons=tuple(sorted((*entries, *kept), key=lambda entry: (entry.example, entry.name))),
        claims=before.claims if before else (),
        tables=before.tables if before else Tables(),
    )
