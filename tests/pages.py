"""Read and run the guide's pages.

The ``python`` blocks of a page run from top to bottom in one namespace, in a fresh process. What a block
prints has to stand in the very next fence, with nothing but blank lines between:

- ``text``: what was printed, line by line, but for spaces at the ends of lines;
- ``{graph}``: what ``mx.export_to_dot`` wrote, with its operations numbered instead of addressed;
- ``{comparison} NAMES``: the comparisons that the block makes, as the records have them.

A block without such a fence has to print nothing, but for the reports of ``compare``: timings differ, so
they are left out. Fences of ``console``, ``bash`` and the like aren't run.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from guide import ROOT
from quick_compiler import with_quick_compiler

from _ext import graphs
from compile_guide import _process as process

LIMIT_S = 240.0
NOT_RUN = {"bash", "console", "ini", "json", "rst", "sh", "toml"}
OUTPUTS = {"text", "{graph}", "{comparison}"}


class PageError(Exception):
    """A page isn't as it should be; the message begins with page:line."""


# Reading a page --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fence:
    """A fence: where its content begins in the file, language or ``{directive}``, argument, content."""

    line: int
    kind: str
    argument: str
    content: tuple[str, ...]
    before: str = ""
    """The last line above it that isn't blank."""


@dataclass(frozen=True)
class Block:
    """Code with the number of its first line in the file, and the fence that shows what it prints."""

    line: int
    code: str
    shown: Fence | None = None


OPENING = re.compile(r"(?P<indent>\s*)(?P<ticks>`{3,}|~{3,})\s*(?P<kind>\{?[\w.+-]*\}?)\s*(?P<argument>[^`]*)")
CONTAINERS = re.compile(
    r"\{(?:admonition|attention|caution|danger|dropdown|hint|important|note|seealso|tab-item|tab-set|tip|warning)\}"
)
DIRECTIVE = re.compile(r"\{(?!code|sourcecode|literalinclude)[\w-]+\}")


def fences(page: Path, lines: list[str], first: int = 1) -> Iterator[Fence]:
    """Yield the fences in order, those in lists and admonitions too; a fence of colons hides nothing."""
    number, before = 0, ""
    while number < len(lines):
        opened = OPENING.fullmatch(lines[number])
        if not opened:
            before = lines[number].strip() or before
            number += 1
            continue
        end = _end(page, lines, number, opened["ticks"], first)
        inside = [line.removeprefix(opened["indent"]) for line in lines[number + 1 : end]]
        if CONTAINERS.fullmatch(opened["kind"]):
            yield from fences(page, inside, first + number + 1)
        else:
            yield Fence(first + number + 1, opened["kind"], opened["argument"].strip(), tuple(inside), before)
        number, before = end + 1, "```"


def _end(page: Path, lines: list[str], start: int, ticks: str, first: int) -> int:
    for number in range(start + 1, len(lines)):
        mark = lines[number].strip()
        if len(mark) >= len(ticks) and set(mark) == {ticks[0]}:
            return number
    raise PageError(f"{page.name}:{first + start}: this fence is never closed")


def blocks(page: Path) -> list[Block]:
    """Return the page's blocks of Python, each with the fence that shows its output.

    Raises:
        PageError: a fence is in no known language, or shows the output of no block.
    """
    found: list[Block] = []
    open_for_output = False
    for fence in fences(page, page.read_text(encoding="utf-8").splitlines()):
        where = f"{page.name}:{fence.line - 1}"
        if fence.kind == "python":
            found.append(Block(fence.line, "\n".join(fence.content)))
        elif fence.kind in OUTPUTS and open_for_output and fence.before == "```":
            found[-1] = Block(found[-1].line, found[-1].code, fence)
        elif fence.kind in OUTPUTS - {"{comparison}"}:
            raise PageError(f"{where}: this output belongs to no block of code; put it right after its block")
        elif fence.kind not in NOT_RUN and not DIRECTIVE.fullmatch(fence.kind):
            kind = fence.kind or "no language"
            raise PageError(f"{where}: a fence in {kind!r} would never be run; write 'python'")
        open_for_output = fence.kind == "python"
    return found


# Running a page --------------------------------------------------------------------------------------------

CHILD = r"""
import json, os, sys, tempfile, traceback

page, blocks, results = sys.argv[1], json.loads(sys.stdin.read()), open(sys.argv[2], "w", encoding="utf-8")
from compile_guide import timing
timing.compare.__kwdefaults__["budget"] = 0.02
timing.print = lambda report, **_: compared.append(report.split()[0])
names, compared = {"__name__": "__main__"}, []
for line, code in blocks:
    with tempfile.TemporaryFile() as printed:
        kept = os.dup(1)
        os.dup2(printed.fileno(), 1)  # so that what a child process prints counts, too
        error = None
        try:
            exec(compile("\n" * (line - 1) + code, page, "exec"), names)
        except BaseException as raised:  # sys.exit() as well
            own = [f.lineno for f in traceback.extract_tb(raised.__traceback__) if f.filename == page]
            at = own[-1] if own else getattr(raised, "lineno", None) or line
            error = [at, f"{type(raised).__name__}: {raised}"]
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
        printed.seek(0)
        text = printed.read().decode("utf-8", "backslashreplace")
    print(json.dumps([text, error, compared]), file=results, flush=True)
    compared.clear()
    if error:
        break
results.close()
"""


def run_page(page: Path, folder: Path, kernels: Path, limit_s: float = LIMIT_S) -> list[str]:
    """Run a page's blocks and return what is wrong, each fault with page:line; nothing if nothing is."""
    try:
        found = blocks(page)
    except PageError as error:
        return [str(error)]
    if not found:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    source, results = folder / "blocks.json", folder / "results.jsonl"
    source.write_text(json.dumps([(block.line, block.code) for block in found]), encoding="utf-8")
    results.touch()
    child = f"import sys; sys.stdin = open({str(source)!r}, encoding='utf-8')\n{CHILD}"
    argv = [sys.executable, "-c", child, str(page), str(results)]
    paths = {"PYTHONPATH": str(ROOT / "src"), "MLX_DISABLE_COMPILE": None, "PATH": with_quick_compiler()}
    ended = process.run(argv, folder=folder, limit_s=limit_s, env=paths, temp=kernels)
    seen = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    wrong = [fault for block, run in zip(found, seen, strict=False) for fault in judge(page, block, *run)]
    if len(seen) < len(found) and not (seen and seen[-1][1]):
        where = f"{page.name}:{found[len(seen)].line}"
        wrong.append(f"{where}: this block ended the process: {ended.reason}\n{ended.output}")
    elif ended.returncode:
        wrong.append(f"{page.name}: after its last block the process ended with {ended.reason}\n{ended.output}")
    return wrong


def judge(page: Path, block: Block, printed: str, error: list[object] | None, compared: list[str]) -> Iterator[str]:
    """Yield what is wrong with one block that ran."""
    if error:
        yield f"{page.name}:{error[0]}: this block raised {error[1]}"
        return
    have, shown = lines_of(printed), block.shown
    if shown and shown.kind != "{comparison}":
        yield from _compare(page, shown, have)
        return
    if have:
        where = f"{page.name}:{block.line}"
        yield "\n".join([f"{where}: what this block prints is missing from the page:", *have])
    if shown and compared and set(compared) != set(shown.argument.split()):
        where = f"{page.name}:{shown.line - 1}"
        yield f"{where}: the page shows {shown.argument}, but the block compared {' '.join(compared)}"


def _compare(page: Path, shown: Fence, have: list[str]) -> Iterator[str]:
    options = 0
    if shown.kind == "{graph}":
        options = sum(not line or line.startswith(":") for line in shown.content)
    want = lines_of("\n".join(shown.content[options:]))
    if shown.kind == "{graph}":
        have = graphs.normal("\n".join(have)).splitlines()
    for number, (a, b) in enumerate(zip_longest(want, have)):
        if a != b:
            where = f"{page.name}:{shown.line + options + number}"
            said = f"{where}: the page shows {a!r}, but the code printed {b!r}; all of it:"
            yield "\n".join([said, *have])
            return


def lines_of(text: str) -> list[str]:
    """Return the lines without spaces at their ends and without blank lines at the end."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


# No measured digit -----------------------------------------------------------------------------------------

UNIT = "|".join(
    [
        r"(?:[nµμum]?s|secs?|(?:milli|micro|nano)?seconds?|min|minutes?|hours?)",
        r"(?:[kMGT]i?B(?:/s)?|bytes/s|[GT]?FLOPS?|×|%|percent)",
        r"(?:x|times|-?fold)(?=\s+(?:as|faster|slower|quicker|smaller|larger|longer|shorter|more|the speed))",
    ]
)
NUMBER = r"(?<![\w.])(?:\d[\d,. \u202f]*\d|\d)"
WORDS = r"\b(?:two|three|four|five|six|seven|eight|nine|ten|dozens|hundreds|thousands)(?: of)? times"
MEASURED = re.compile(
    rf"{NUMBER}[\s-]?(?:{UNIT})(?!\w)"
    rf"|(?:(?<![\d ])×|[≈~]|speed-?up of) ?{NUMBER}"
    rf"|{WORDS} (?:as|faster|slower|longer)"
)
ROLE = re.compile(r"\{[\w:-]+\}`+[^`]*`+")
CODE = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\n\n).)+?(?<!`)\1(?!`)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
ADDRESS = re.compile(r"\]\([^)\s]*\)|https?://\S+")
CITED = re.compile(r"\[[^\]]*\]\{\.(?:computed\}|published\}(?=(?:[^\n]|\n(?!\n))*\]\())")
COMPUTED = {
    "machines.md": ("more than 4 MB",),  # a limit that this project sets
    "measuring.md": ("about 3.1 %", "of 96.9 %", "exceeds 95 %", "near 100 %", "Above 100 %"),  # arithmetic
}
"""Digits with a unit that nobody measured.

A page may mark one itself: ``[3.1 %]{.computed}``, or ``[15.5 ms]{.published}`` with a link to the source
further on in the same paragraph.
"""


def prose(page: Path, text: str) -> list[str]:
    """Return the page's lines with fences, roles, code, addresses and cited figures blanked."""
    lines = text.splitlines()
    for fence in fences(page, lines):
        lines[fence.line - 2 : fence.line + len(fence.content)] = [""] * (len(fence.content) + 2)
    left = "\n".join("" if line.lstrip().startswith("```") else line for line in lines)
    for allowed in COMPUTED.get(page.name, ()):
        left = left.replace(allowed, "")
    for pattern in (ROLE, CITED, CODE, COMMENT, ADDRESS):
        left = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), left)
    return left.splitlines()


def measured_digits(page: Path, text: str) -> list[str]:
    """Return every number with a unit of time, size, rate or ratio that stands in a page's prose."""
    left = "\n".join(prose(page, text))
    return [f"{page.name}:{left.count(chr(10), 0, m.start()) + 1}: {m[0]!r}" for m in MEASURED.finditer(left)]


LINK = re.compile(r"\]\([^)]+\)|\{doc\}`|\{ref\}`")


def last_section(page: Path, text: str) -> tuple[str, str]:
    """Return title and text of the page's last section of the second level."""
    hidden = {n for f in fences(page, text.splitlines()) for n in range(f.line, f.line + len(f.content))}
    kept = "\n".join(line for n, line in enumerate(text.splitlines(), start=1) if n not in hidden)
    parts = re.split(r"^## +(.+?)\s*$", kept, flags=re.MULTILINE)
    return (parts[-2], parts[-1]) if len(parts) > 1 else ("", kept)
