"""How building grows: a made-up gallery of many scripts and many machines' records, none of which runs MLX."""

from __future__ import annotations

import math
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.builds import Cost, peak_of, timed
from compile_guide.records import schema as record

PACKAGE = Path(__file__).parents[2]
SCRIPTS, RECORDS = (50, 200, 800), (1, 10, 40)
PER_TOPIC = 50
CONF = """
import sys
sys.path.insert(0, {package!r})
from compile_guide.sphinxext.gallery import gallery_conf
extensions = ["myst_parser", "sphinx_gallery.gen_gallery", "compile_guide.sphinxext"]
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

```{{machines}}
```

```{{examples}}
```

```{{toctree}}
:hidden:

{pages}
```
"""
TOPIC = "Topic {number}\n========\n\nScripts that were made up.\n"


def make(folder: Path, scripts: int, records: int) -> None:
    """Write the sources of a guide with so many scripts and records."""
    docs = folder / "docs"
    (docs / "records").mkdir(parents=True)
    (folder / "conf.py").write_text(CONF.format(package=str(PACKAGE)), encoding="utf-8")
    (docs / "index.md").write_text(INDEX.format(pages="gallery/index"), encoding="utf-8")
    (folder / "gallery").mkdir()
    (folder / "gallery" / "GALLERY_HEADER.rst").write_text("Examples\n========\n\nAll of them.\n", encoding="utf-8")
    for number in range(scripts):
        topic = folder / "gallery" / f"topic{number // PER_TOPIC:03}"
        if not topic.exists():
            topic.mkdir()
            header = TOPIC.format(number=number // PER_TOPIC)
            (topic / "GALLERY_HEADER.rst").write_text(header, encoding="utf-8")
        name = f"example-{number:04}"
        script = SCRIPT.format(number=number, name=name)
        (topic / f"example_{number:04}.py").write_text(script, encoding="utf-8")
    for number in range(records):
        record.save(made_up(number, scripts), docs / "records" / f"made-up-{number:02}.json")


def made_up(number: int, scripts: int) -> record.Record:
    """Return a record of a machine that doesn't exist: six processes of twelve pairs for each script."""
    dice = random.Random(number)
    machine = record.Machine(
        backend="cpu", chip=f"Made-up chip {number}", cores=8, gpu=None, memory=2**34, os="Made-up OS 1",
        arch="x86_64", python="3.11.7", mlx="0.32.4", compiler=None, power=None, copy_bandwidth=1e10,
    )  # fmt: skip
    entries = tuple(
        record.Entry(
            f"example_{script:04}", f"example-{script:04}", tuple(_run(dice) for _ in range(6)), None, None, ""
        )
        for script in range(scripts)
    )
    settings = record.Settings(2.0, 6, 0.02)
    return record.Record(
        schema=record.SCHEMA, id=f"made-up-{number:02}", created="2026-11-22T00:00:00Z", guide="0.1.0",
        machine=machine, settings=settings, comparisons=entries, claims=(),
    )  # fmt: skip


def _run(dice: random.Random) -> record.Run:
    plain = tuple(float(f"{dice.uniform(0.9e-3, 1.1e-3):.6g}") for _ in range(12))
    compiled = tuple(float(f"{dice.uniform(0.4e-3, 0.6e-3):.6g}") for _ in range(12))
    return record.Run(plain, compiled, 0.01, 0.5, "warm", 1, 1, 1000, 500, None)


def render(folder: Path) -> Cost:
    """Build it anew."""
    for left in ("out", "docs/gallery"):
        shutil.rmtree(folder / left, ignore_errors=True)
    argv = [sys.executable, "-m", "sphinx", "-c", ".", "docs", "out", "-q", "-W", "--keep-going"]
    return timed([*argv, "-D", "compile_guide_record=made-up-00"], folder, {"MPLBACKEND": "agg"})


def growth(folder: Path, repeats: int) -> dict[str, tuple[float, ...]]:
    """Render every size ``repeats`` times; return wall and processor seconds and peak memory of each.

    Raises:
        RuntimeError: a build failed, or its memory can't be told from this process's.
    """
    found: dict[str, list[float]] = {}
    sizes = [(scripts, records) for scripts in SCRIPTS for records in RECORDS]
    for scripts, records in sizes:
        _make_apart(folder / f"{scripts}-{records}", scripts, records)
    for _ in range(repeats):
        for scripts, records in sizes:
            cost = render(folder / f"{scripts}-{records}")
            if cost.peak <= peak_of(resource.getrusage(resource.RUSAGE_SELF)):
                raise RuntimeError(
                    "this process is larger than a build that it started: how large that was can't be told"
                )
            for what, value in (("wall", cost.wall_s), ("processor", cost.cpu_s), ("peak", cost.peak)):
                found.setdefault(kind(scripts, records, what), []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def _make_apart(folder: Path, scripts: int, records: int) -> None:
    """Write the sources in a process of its own, so that this one stays smaller than the builds that it starts."""
    subprocess.run([sys.executable, "-m", __name__, str(folder), str(scripts), str(records)], check=True)


def kind(scripts: int, records: int, what: str) -> str:
    """Return what a size's values are kept under."""
    return f"{scripts} scripts, {records} records, {what}"


def exponent(small: float, large: float, factor: float) -> float:
    """Return the power of the size that a cost grows with: 1 where ``factor`` times the size costs that many times more."""
    return math.log(large / small) / math.log(factor)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
