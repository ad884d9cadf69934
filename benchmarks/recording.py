"""Where the time of recording goes: every third example through the recorder, each of its processes watched.

As in anybody's second recording, its processes find their modules compiled to bytecode.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from benchmarks.watched import CHECKS, IMPORTS, KERNELS, MEASURING, REST
from compile_guide import _process as process
from compile_guide.recorder.measure import measure as recorder

CHILD, WATCHED = "compile_guide.recorder.worker", "benchmarks.watched"
EACH = 3
START = "starting and ending processes"
WALL = "wall time"


def where_it_goes(root: Path, folder: Path, repeats: int) -> dict[str, tuple[float, ...]]:
    """Record every third example ``repeats`` times; return seconds of each part, one value a repeat."""
    found: dict[str, list[float]] = {}
    for number in range(repeats):
        for name, seconds in _once(root, folder / str(number)).items():
            found.setdefault(name, []).append(seconds)
    return {name: tuple(seconds) for name, seconds in found.items()}


def _once(root: Path, folder: Path) -> dict[str, float]:
    folder.mkdir()
    machine = recorder.machine_facts(folder)
    examples = recorder.find_examples(root / "gallery")[::EACH]
    plan = recorder.Plan(examples)
    totals = dict.fromkeys((MEASURING, KERNELS, CHECKS, IMPORTS, START, REST), 0.0)
    run, start = process.run, time.perf_counter()

    def watched(argv: list[str], **more: Any) -> process.Finished:
        more["env"] = {**(more.get("env") or {}), "PYTHONDONTWRITEBYTECODE": None}
        ended = run([WATCHED if part == CHILD else part for part in argv], **more)
        if ended.returncode:
            raise RuntimeError(f"{Path(argv[3]).name} failed: {ended.output.strip()[-800:]}")
        seen: dict[str, float] = json.loads(Path(argv[4]).with_name("watched.json").read_text(encoding="utf-8"))
        totals[START] += ended.seconds - sum(seen.values())
        for name, seconds in seen.items():
            totals[name] += seconds
        return ended

    process.run = watched  # type: ignore[assignment]
    try:
        recorder.measure(plan, machine, folder, lambda step: None)
    finally:
        process.run = run
    return {**totals, WALL: time.perf_counter() - start}
