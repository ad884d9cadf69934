"""A small checkout with the project's own settings: two examples, three pages, one record. It builds in seconds."""

from __future__ import annotations

from guide import ROOT

import shutil
from pathlib import Path

import fork_server
from conftest import make_entry, make_record
from reproduce import SPHINX
from site_builds import write

from compile_guide.records import schema as record

FAST = make_entry("gelu", ratios=(1.21, 1.22, 1.23, 1.23, 1.24, 1.26))
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
    "docs/claims.md": "# Claims\n\n```{claims} tracing\n```\n",
    "gallery/GALLERY_HEADER.rst": "Examples\n========\n\nAll of them.\n",
    "gallery/basics/GALLERY_HEADER.rst": "Basics\n======\n\nThe first ones.\n",
    "gallery/basics/example.py": EXAMPLE,
    "gallery/basics/plain.py": PLAIN,
}


def small_tree(folder: Path) -> Path:
    """Make the checkout in ``folder``, with the project's settings and helper."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "conf.py", folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs" / "_static", folder / "docs" / "_static")
    write(folder, PAGES)
    put_record(folder)
    return folder


def put_record(folder: Path, *ratios: float) -> None:
    """Write the record; ``ratios`` replace its comparison's."""
    entry = make_entry("gelu", ratios=ratios) if ratios else FAST
    made = make_record(entry, claims=(record.Verdict("dtype-retraces", True, "2 traces"),))
    record.save(made, folder / "docs" / "records" / f"{made.id}.json")


def built(folder: Path) -> Path:
    """Build a checkout, with the helper that lies in it; return the folder of the pages."""
    log = folder.with_name(f"{folder.name}.log")
    assert fork_server.ended(fork_server.start(folder, list(SPHINX[2:]), log)) == 0, log.read_text(encoding="utf-8")
    return folder / "build" / "html"
