"""A small checkout with the project's own settings: two examples, four pages, one record. It builds in seconds."""

from __future__ import annotations

import shutil
from multiprocessing.process import BaseProcess
from pathlib import Path

import fork_server
from conftest import make_entry, make_record
from guide import ROOT
from reproduce import SPHINX
from site_builds import FAST, write

from compile_guide.records.schema import Verdict, save

EXAMPLE = '''"""
An example
==========

What it shows.
"""
# sphinx_gallery_tags = ["speed"]
import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare

# %%
# Measured: :measured:`gelu.ratio`, by :func:`mlx.core.exp`.
compare("gelu", mx.exp, mx.compile(mx.exp), mx.ones(4))

# %%
# A figure
# --------
figure, ax = plt.subplots()
ax.plot([1, 2], [1, 2], label="a line")
ax.fill_between([1, 2], [1, 2])
ax.legend()
ax.set_title("A rising line")
'''
PLAIN = '"""\nPlain words\n===========\n\nA sentence about zebras.\n"""\nprint("zebra")\n'
PAGES = {
    "docs/index.md": """# Start

Was {measured}`gelu.ratio`, {claim}`dtype-retraces`.

```{headline}
gelu | GELU | /gallery/basics/example
```

```{examples}
```

```{toctree}
second
third
claims
gallery/index
```
""",
    "docs/second.md": "# The second page\n\nSee [the third](third.md) and [](third.md#a-part).\n",
    "docs/third.md": "# The third page\n\nRare words: quokka.\n\n## A part\n\n```{machines}\n```\n",
    "docs/claims.md": "# Claims\n\n```{claims} tracing\n```\n\n```{record-files}\n```\n",
    "gallery/GALLERY_HEADER.rst": "Examples\n========\n\nAll of them.\n",
    "gallery/basics/GALLERY_HEADER.rst": "Basics\n======\n\nThe first ones.\n",
    "gallery/basics/example.py": EXAMPLE,
    "gallery/basics/plain.py": PLAIN,
}
FOLDERS = ("src", "benchmarks", "docs/_ext", "docs/_static", "docs/_templates", "docs/claims", "docs/published_code")
"""What the settings read beside the pages; of claims and published code the Python alone."""


def small_tree(folder: Path) -> Path:
    """Make the checkout in ``folder``, with the project's settings and code."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "conf.py", folder)
    for name in FOLDERS:
        left = {"docs/claims": ("*.md",), "docs/published_code": ("results",)}.get(name, ())
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", *left))
    write(folder, PAGES)
    put_record(folder)
    return folder


def put_record(folder: Path, *ratios: float) -> None:
    """Write the record; ``ratios`` replace its comparison's."""
    entry = make_entry("gelu", ratios=ratios) if ratios else FAST
    made = make_record(entry, claims=(Verdict("dtype-retraces", True, "2 traces"),))
    save(made, folder / "docs" / "records" / f"{made.id}.json")


def start(folder: Path, *options: str, log: Path | None = None) -> BaseProcess:
    """Start a build of a checkout with the code that lies in it, as ``nox -s render`` does, with more options."""
    return fork_server.start(folder, [*SPHINX[2:], *options], log or log_of(folder))


def log_of(folder: Path) -> Path:
    """Return the file that a build of the checkout writes its messages to."""
    return folder.with_name(f"{folder.name}.log")


def built(folder: Path) -> Path:
    """Build a checkout and return the folder of the pages."""
    assert fork_server.ended(start(folder)) == 0, log_of(folder).read_text(encoding="utf-8")
    return folder / "build" / "html"
