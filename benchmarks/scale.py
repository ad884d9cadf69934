"""How builds grow: a made-up gallery of many scripts and many machines' records, none of which runs MLX."""

from __future__ import annotations

import json
import math
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import BenchError, environment, rounded
from benchmarks.builds import Cost, Values, peak_of, timed
from compile_guide.records.schema import SCHEMA

SCRIPTS, RECORDS = (50, 200, 800), (1, 10, 40)
PER_TOPIC = 50
CONF = """
from compile_guide.sphinxext.gallery import gallery_conf
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery", "compile_guide.sphinxext", "_ext"]
sphinx_gallery_conf = gallery_conf()
html_theme, html_copy_source = "furo", True
exclude_patterns = ["records", "gallery/backreferences"]
"""
SCRIPT = '''"""
Example {number}
=============

A sentence with a number from the record: :measured:`{name}.ratio`, and one more: :measured:`{name}.baseline`.
"""
# sphinx_gallery_tags = ["made-up"]
from compile_guide.timing import compare

# %%
# The function
# ------------


def function(x: float) -> float:
    return x * (1 + x) / 2


# %%
# What was measured
# -----------------
compare("{name}", function, function, 1.0)

# %%
# What to take away
# -----------------
# It ran on :machine:`chip`, and the first call took :measured:`{name}.first_call`.
print(function(3.0))
'''
INDEX = """# A made-up guide

```{machines}
```

```{examples}
```

```{toctree}
:hidden:

gallery/index
```
"""
TOPIC = "Topic {number}\n========\n\nScripts that were made up.\n"


def make(folder: Path, scripts: int, records: int) -> None:
    """Write the sources of a guide with so many scripts and records into a new folder."""
    files = {"conf.py": CONF, "docs/index.md": INDEX}
    files["gallery/GALLERY_HEADER.rst"] = "Examples\n========\n\nAll of them.\n"
    for number in range(scripts):
        topic = f"gallery/topic{number // PER_TOPIC:03}"
        files[f"{topic}/GALLERY_HEADER.rst"] = TOPIC.format(number=number // PER_TOPIC)
        script = SCRIPT.format(number=number, name=f"example-{number:04}")
        files[f"{topic}/example_{number:04}.py"] = script
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "docs" / "records").mkdir()
    for number in range(records):
        file = folder / "docs" / "records" / f"made-up-{number:02}.json"
        file.write_text(json.dumps(made_up(number, scripts)), encoding="utf-8")


def made_up(number: int, scripts: int) -> dict[str, Any]:
    """Return a record of a machine that doesn't exist, as JSON's types: six processes of twelve pairs for each script."""
    dice = random.Random(number)
    machine = dict(
        backend="cpu", chip=f"Made-up chip {number}", cores=8, gpu=None, memory=2**34, os="Made-up OS 1",
        arch="x86_64", python="3.11.7", mlx="0.32.4", compiler=None, power=None, copy_bandwidth=1e10,
    )  # fmt: skip
    return dict(
        schema=SCHEMA, id=f"made-up-{number:02}", created="2026-11-22T00:00:00Z", guide="0.1.0", machine=machine,
        settings=dict(budget_s=2.0, processes=6, half_width=0.02),
        comparisons=[_entry(script, dice) for script in range(scripts)], claims=[],
    )  # fmt: skip


def _entry(script: int, dice: random.Random) -> dict[str, Any]:
    example, name = f"example_{script:04}", f"example-{script:04}"
    runs = [_run(dice) for _ in range(6)]
    return dict(example=example, name=name, runs=runs, bytes_moved=None, slow_call_s=None, note="")


def _run(dice: random.Random) -> dict[str, Any]:
    plain, compiled = ([rounded(dice.uniform(0.9, 1.1) * middle) for _ in range(12)] for middle in (1e-3, 5e-4))
    return dict(
        baseline_s=plain, candidate_s=compiled, first_baseline_s=0.01, first_candidate_s=0.5, cache="warm",
        baseline_calls=1, candidate_calls=1, baseline_peak=1000, candidate_peak=500, copy_bandwidth=None,
    )  # fmt: skip


def build(folder: Path) -> Cost:
    """Build it anew."""
    for left in ("out", "docs/gallery"):
        shutil.rmtree(folder / left, ignore_errors=True)
    argv = [sys.executable, "-m", "sphinx", "-c", ".", "docs", "out", "-q", "-W", "--keep-going"]
    return timed([*argv, "-D", "compile_guide_record=made-up-00"], folder, environment(MPLBACKEND="agg"))


def growth(folder: Path, repeats: int) -> Values:
    """Build every size ``repeats`` times; return wall and processor seconds and peak memory of each.

    Raises:
        BenchError: a build failed, or its memory can't be told from this process's.
    """
    values: dict[str, list[float]] = {}
    sizes = [(scripts, records) for scripts in SCRIPTS for records in RECORDS]
    for scripts, records in sizes:
        _make_apart(folder / f"{scripts}-{records}", scripts, records)
    for _ in range(repeats):
        for scripts, records in sizes:
            cost = build(folder / f"{scripts}-{records}")
            if cost.peak <= peak_of(resource.getrusage(resource.RUSAGE_SELF)):
                raise BenchError(
                    "this process is larger than a build that it started: how large that was can't be told"
                )
            for what, value in (("wall", cost.wall_s), ("processor", cost.cpu_s), ("peak", cost.peak)):
                values.setdefault(kind(scripts, records, what), []).append(value)
    return {name: tuple(seconds) for name, seconds in values.items()}


def _make_apart(folder: Path, scripts: int, records: int) -> None:
    """Write the sources in another process, so that this one stays smaller than the builds that it starts."""
    argv = [sys.executable, "-m", __name__, str(folder), str(scripts), str(records)]
    subprocess.run(argv, env=environment(), check=True)


def kind(scripts: int, records: int, what: str) -> str:
    """Return the name of a size's values."""
    return f"{scripts} scripts, {records} records, {what}"


def exponent(small: float, large: float, factor: float) -> float:
    """Return the power of the size with which a cost grows: 1 where ``factor`` times the size costs that many times more."""
    return math.log(large / small) / math.log(factor)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
