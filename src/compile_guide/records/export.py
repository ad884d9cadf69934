"""Records in other tools' formats: pyperf's JSON, and the arrays that github-action-benchmark reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from compile_guide.comparison import Comparison, Interval
from compile_guide.formatting import format_ratio, format_time
from compile_guide.records.schema import Entry, Record, RecordError


def pyperf(record: Record) -> str:
    """Return a pyperf suite: for each comparison the benchmarks ``NAME/baseline`` and ``NAME/candidate``.

    A process is a run, a sample a value (seconds a call), the first call a warmup. ``pyperf`` compares one side at a
    time; its mean and deviation know nothing of the pairs. Source: pyperf's JSON, format version 1.0.
    """
    sides = [side for entry in _measured(record) for side in (_side(entry, "baseline"), _side(entry, "candidate"))]
    about = {"unit": "second", **_about(record)}
    return json.dumps({"version": "1.0", "metadata": about, "benchmarks": sides}, separators=(",", ":")) + "\n"


def _side(entry: Entry, side: str) -> dict[str, Any]:
    runs = [
        {
            "values": getattr(run, f"{side}_s"),
            "warmups": [[1, getattr(run, f"first_{side}_s")]],
            "metadata": {"loops": getattr(run, f"{side}_calls"), "kernel_cache": run.cache},
        }
        for run in entry.runs
    ]
    return {"metadata": {"name": f"{entry.name}/{side}", "example": entry.example}, "runs": runs}


def _about(record: Record) -> dict[str, str | int]:
    """Return facts under pyperf's names, ours under ``mlx_…``; pyperf takes no empty text and no line break."""
    machine = record.machine
    facts = {
        "date": record.created.replace("T", " ").removesuffix("Z"),
        "cpu_model_name": machine.chip,
        "platform": f"{machine.os} {machine.arch}",
        "python_version": machine.python,
        "mlx_version": machine.mlx,
        "mlx_backend": machine.backend,
        "mlx_gpu": machine.gpu,
        "mlx_record": record.id,
    }
    plain = {name: " ".join((fact or "").split()) for name, fact in facts.items()}
    return {"cpu_count": machine.cores, **{name: fact for name, fact in plain.items() if fact}}


def times(record: Record) -> str:
    """Return github-action-benchmark's array for ``customSmallerIsBetter``: each candidate's milliseconds a call."""
    return _array(record, "ms", 1e3, lambda c: (c.candidate_s, c.time_interval))


def speedups(record: Record) -> str:
    """Return github-action-benchmark's array for ``customBiggerIsBetter``: each comparison's speed-up."""
    return _array(record, "×", 1.0, lambda c: (c.ratio, c.interval))


def _array(
    record: Record, unit: str, scale: float, median: Callable[[Comparison], tuple[float | None, Interval]]
) -> str:
    """Return objects with name, unit, value, range and extra: the custom formats in the action's README."""
    found, machine = [], record.machine
    for c in (entry.comparison() for entry in _measured(record)):
        value, interval = median(c)
        item = {"name": c.name, "unit": unit, "value": float(f"{(value or 0.0) * scale:.6g}")}
        if interval is not None:
            item["range"] = "–".join(f"{end * scale:.6g}" for end in interval)
        times = f"speed-up {format_ratio(c.ratio, c.interval)}\nbaseline {format_time(c.baseline_s, c.spread)}"
        item["extra"] = f"{times}\n{machine.gpu or machine.chip}, {machine.backend}, MLX {machine.mlx}"
        found.append(item)
    return json.dumps(found, indent=1) + "\n"


def _measured(record: Record) -> list[Entry]:
    """Return the entries that have runs: these formats can't hold a call that was too slow to compare."""
    if found := [entry for entry in record.comparisons if entry.runs]:
        return found
    raise RecordError(f"{record.id}: nothing was compared in it, so there is nothing to export")


FORMATS: dict[str, Callable[[Record], str]] = {
    "pyperf": pyperf,
    "github-action-benchmark": times,
    "github-action-benchmark-speedup": speedups,
}
