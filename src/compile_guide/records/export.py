"""Records in other tools' formats: pyperf's JSON, and the arrays that github-action-benchmark reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from compile_guide.records.diff import time_interval
from compile_guide.records.schema import Entry, Machine, Record, RecordError
from compile_guide.timing import format_ratio, format_time


def pyperf(record: Record) -> str:
    """Return a pyperf suite: for each comparison the benchmarks ``NAME/baseline`` and ``NAME/candidate``.

    A process is a run, a sample a value (seconds a call), the first call a warmup. Only ``pyperf`` compares them one
    side at a time: its mean and deviation know nothing of the pairs. Source: pyperf's JSON, format version 1.0.
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
    """Facts under the names that pyperf has for them, ours under ``mlx_…``; it takes no empty text and no line break."""
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
    plain = {name: " ".join(fact.split()) for name, fact in facts.items() if fact}
    return {"cpu_count": machine.cores, **{name: fact for name, fact in plain.items() if fact}}


def times(record: Record) -> str:
    """Return github-action-benchmark's array for ``customSmallerIsBetter``: each candidate's milliseconds a call."""
    return _array(record, "ms", lambda c: c.candidate_s and c.candidate_s * 1e3, _time_range)


def speedups(record: Record) -> str:
    """Return github-action-benchmark's array for ``customBiggerIsBetter``: each comparison's speed-up."""
    return _array(record, "×", lambda c: c.ratio, lambda c: _range(c.interval))


def _array(record: Record, unit: str, value: Callable[[Any], Any], spread: Callable[[Any], str]) -> str:
    """Each object has name, unit, value, range and extra, as the action's README describes its custom formats."""
    found = []
    for entry in _measured(record):
        comparison = entry.comparison()
        item = {"name": entry.name, "unit": unit, "value": float(f"{value(comparison):.6g}")}
        item |= {"range": spread(comparison), "extra": _extra(record.machine, comparison)}
        found.append({key: part for key, part in item.items() if part != ""})
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def _range(interval: tuple[float, float] | None, scale: float = 1.0) -> str:
    return "" if interval is None else f"{interval[0] * scale:.6g}–{interval[1] * scale:.6g}"


def _time_range(comparison: Any) -> str:
    return _range(time_interval(comparison), 1e3)


def _extra(machine: Machine, comparison: Any) -> str:
    lines = [
        f"speed-up {format_ratio(comparison.ratio, comparison.interval)}",
        f"baseline {format_time(comparison.baseline_s, spread=comparison.spread)}",
        f"{machine.gpu or machine.chip}, {machine.backend}, MLX {machine.mlx}",
    ]
    return "\n".join(lines)


def _measured(record: Record) -> list[Entry]:
    """The entries that have runs: a call too slow to compare has nothing that these formats could hold."""
    if found := [entry for entry in record.comparisons if entry.runs]:
        return found
    raise RecordError(f"{record.id}: nothing was compared in it, so there is nothing to export")


FORMATS: dict[str, Callable[[Record], str]] = {
    "pyperf": pyperf,
    "github-action-benchmark": times,
    "github-action-benchmark-speedup": speedups,
}
