"""llms-full.txt: what a reader sees, in Markdown; no role, no directive, no HTML."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import make_record
from guide import ROOT
from site_builds import FAST, INVENTORIES, RATIO, SCRIPT, Site, build, put_gallery, put_records, write

SETTINGS = 'compile_guide_plain = "llms-full.txt"\nmyst_enable_extensions = ["deflist"]\n'
PAGE = """# Title

Ratio {measured}`gelu` on {machine}`chip`, see [other](other.md), [out](https://example.org/x) and `code`.

```{note}
Two words, **bold** and *soft*.
```

- one
- two

  more of two

1. first

Term
: Meaning

```python
print("`x`")
```

| A | B \\| C |
| --- | --- |
| 1 | {measured}`gelu.baseline` |

```{comparison} gelu
:caption: Timed
```

```{toctree}
other
```
"""
EXPECTED = f"""<!-- index.html -->

# Title

Measured on Test Chip, CPU backend, MLX 0.32.4, Test OS 1, 2026-11-22. No Apple-silicon record yet.

Ratio {RATIO} on Test Chip, see other, [out](https://example.org/x) and `code`.

> **Note**
>
> Two words, **bold** and *soft*.

- one
- two

  more of two

1. first

- **Term**: Meaning

```python
print("`x`")
```

| A | B \\| C |
| --- | --- |
| 1 | 1.2 ms |

Timed

Test Chip, MLX 0.32.4

| Comparison | Baseline (ms) | Candidate (ms) | Speed-up | First call (ms) | Pays back after (calls) |
| --- | --- | --- | --- | --- | --- |
| `gelu` | 1.2 | **1.0** | {RATIO} | 500 | 2,200 |

<!-- other.html -->

# O

Words.
"""


def plain(site: Site) -> str:
    """The file, without spaces that nobody sees."""
    return re.sub(r" +$", "", (site.out / "llms-full.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_pages_are_written_as_they_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": PAGE, "docs/other.md": "# O\n\nWords.\n"})
    put_records(tmp_path, make_record(FAST))
    assert plain(build(tmp_path, guide=True, settings=SETTINGS)) == EXPECTED


def test_an_edited_page_changes_and_the_others_stay(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": PAGE, "docs/other.md": "# O\n\nWords.\n"})
    put_records(tmp_path, make_record(FAST))
    build(tmp_path, guide=True, settings=SETTINGS)
    write(tmp_path, {"docs/other.md": "# O\n\nOther and longer words.\n"})
    assert plain(build(tmp_path, guide=True, settings=SETTINGS)) == EXPECTED.replace(
        "Words.", "Other and longer words."
    )


def test_without_a_name_no_file_is_written(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n"})
    put_records(tmp_path)
    assert not list(build(tmp_path, guide=True).out.glob("*.txt"))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is written of an example."""
    folder = tmp_path_factory.mktemp("plain")
    put_gallery(folder, example=SCRIPT)
    text = plain(build(folder, gallery=True, guide=True, settings=INVENTORIES + SETTINGS))
    return text[text.index("<!-- gallery/one/example.html -->") :]


def test_an_examples_code_is_code_though_its_names_are_links(gallery: str) -> None:
    assert '```python\nresult = compare("gelu", mx.exp, mx.compile(mx.exp), mx.ones(4))\n' in gallery


def test_an_examples_tables_outputs_and_figures_are_told(gallery: str) -> None:
    assert f"| speed-up | {RATIO} |" in gallery
    assert "```\n1.23\n```" in gallery
    assert gallery.count("[Figure: A rising line]") == 1


def test_nothing_unresolved_is_left(gallery: str) -> None:
    assert not re.search(r"\{[a-z:]+\}`|:[a-z]+:`|```\{|<(div|table|span|p)\b", gallery)


def titles_in_llms(folder: Path) -> set[str]:
    """Build with sphinx-llms-txt; return the titles that its file lists."""
    site = build(folder, guide=True, settings='extensions.insert(0, "sphinx_llms_txt")\nhtml_copy_source = True\n')
    assert site.warnings == []
    return set(re.findall(r"^- \[(.+?)\]", (site.out / "llms.txt").read_text(encoding="utf-8"), re.MULTILINE))


CHANGES = {
    "a title": ({"docs/other.md": "# Otherwise\n"}, {"Title", "Otherwise"}),
    "a page more": ({"docs/third.md": "# Third\n"}, {"Title", "Other", "Third"}),
    "a page less": ({"docs/other.md": ""}, {"Title"}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_llms_txt_is_made_again_when_a_page_has_changed_and_only_then(what: str, tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# Title\n", "docs/other.md": "---\norphan: true\n---\n# Other\n"})
    assert titles_in_llms(tmp_path) == {"Title", "Other"}
    file = tmp_path / "out" / "llms.txt"
    before = file.stat().st_mtime_ns
    assert titles_in_llms(tmp_path) == {"Title", "Other"}
    assert file.stat().st_mtime_ns == before
    files, titles = CHANGES[what]
    write(tmp_path, {name: f"---\norphan: true\n---\n{text}" for name, text in files.items() if text})
    for name in (name for name, text in files.items() if not text):
        (tmp_path / name).unlink()
    assert titles_in_llms(tmp_path) == titles
    file.unlink()
    assert titles_in_llms(tmp_path) == titles


@pytest.mark.parametrize("mine", [True, False])
def test_a_full_text_of_the_projects_own_stands_instead_of_ours_and_theirs_is_never_written(
    mine: bool, tmp_path: Path
) -> None:
    settings = re.search(r"^llms_txt_full_max_size.*$", (ROOT / "conf.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert settings is not None
    write(tmp_path, {"docs/index.md": "# Title\n", "extra/other.txt": ""})
    write(tmp_path, {"extra/llms-full.txt": "by hand"} if mine else {})
    lines = [
        settings[0],
        'extensions.insert(0, "sphinx_llms_txt")',
        'html_copy_source, html_extra_path = True, ["extra"]',
    ]
    for _ in range(2):
        site = build(tmp_path, guide=True, settings="\n".join([*lines, SETTINGS]))
        assert site.warnings == []
        text = (site.out / "llms-full.txt").read_text(encoding="utf-8")
        assert text == ("by hand" if mine else "<!-- index.html -->\n\n# Title\n")
        assert (site.out / "llms.txt").is_file()
