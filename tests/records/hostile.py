"""Hostile records: files that somebody could send instead of a record, each made here, and texts that want to be markup."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from conftest import make_entry, make_record

from compile_guide.records.schema import Message, Ready, Support, Tables, Verdict, dump

GOOD: dict[str, Any] = json.loads(
    dump(
        make_record(
            make_entry("gelu"),
            claims=(Verdict("dtype-retraces", True, "2 traces"),),
            tables=Tables(
                (Support("exp", "mx.exp(x)", "right", "silently wrong", ("seen",)),),
                (
                    Ready("gelu", "function", True, True, ()),
                    Ready("relu", "function", False, None, ()),
                    Ready("GELU", "layer", True, None, ("gelu",)),
                ),
                (Message("eval-inside", "ValueError", "a message", True),),
            ),
        )
    )
)
"""A record with something in every list."""

NUMBERS = {"NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity", "1e999": b"1e999", "-1": b"-1",
           "-0.0": b"-0.0", "true": b"true", "null": b"null", "text": b'"1"', "list": b"[1]", "4000 digits": b"9" * 4000,
           "5000 digits": b"9" * 5000, "hexadecimal": b"0x10", "plus": b"+1", "two points": b"1.2.3"}  # fmt: skip
TEXTS = {"NUL": "a\0b", "lone surrogate": "a\ud800b", "bidi override": "a\u202eb", "bidi isolate": "a\u2066b",
         "right-to-left mark": "a\u200fb", "Arabic letter mark": "a\u061cb", "line separator": "a\u2028b",
         "paragraph separator": "a\u2029b", "byte-order mark": "a\ufeffb", "escape": "a\x1b[31mb", "carriage return": "a\rb", "delete": "a\x7fb",
         "C1 control": "a\x9bb", "301 characters": "x" * 301, "bell": "\a"}  # fmt: skip
IDS = {"parent folder": "../../etc/passwd", "absolute path": "/etc/passwd", "upper case": "A", "space": "a b",
       "dot": ".", "empty": "", "backslash": "a\\b", "65 characters": "a" * 65, "newline": "a\n", "markup": "<b>",
       "full-width": "\uff41", "quote": 'a"b', "percent": "a%2e", "leading dash": "-rf", "option": "--help"}  # fmt: skip


def _set(path: tuple[str | int, ...], value: object) -> bytes:
    data = copy.deepcopy(GOOD)
    part: Any = data
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return json.dumps(data).encode("utf-8", "surrogatepass")


def _placed(path: tuple[str | int, ...], raw: bytes) -> bytes:
    return _set(path, "PLACE").replace(b'"PLACE"', raw, 1)


def corpus() -> Iterator[tuple[str, bytes]]:
    """Yield a name and the bytes of every hostile file; all of them must be refused."""
    run: tuple[str | int, ...] = ("comparisons", 0, "runs", 0)
    for name, raw in NUMBERS.items():
        yield f"time {name}", _placed((*run, "baseline_s", 0), raw)
        if name not in ("null", "-0.0"):
            yield f"memory {name}", _placed(("machine", "memory"), raw)
    for name, text in TEXTS.items():
        for field in (("machine", "chip"), ("comparisons", 0, "note")):
            yield f"{field[-1]} {name}", _set(field, text)
    for name, text in IDS.items():
        for field in (("id",), ("comparisons", 0, "name"), ("comparisons", 0, "example"), ("claims", 0, "id")):
            yield f"{field[0]}.{field[-1]} {name}", _set(field, text)
    whole = json.dumps(GOOD).encode()
    yield from {
        "duplicate key": whole.replace(b'"schema": 1', b'"schema": 1, "schema": 1', 1),
        "duplicate key after many": b"{" + b"".join(b'"%d":0,' % n for n in range(330_000)) + b'"x":0,"x":0}',
        "many keys": b"{" + b",".join(b'"%d":0' % n for n in range(330_000)) + b"}",
        "deep lists": b"[" * 2_000_000,
        "deep objects": b'{"a":' * 600_000,
        "deep and closed": b"[" * 100_000 + b"]" * 100_000,
        "a long fraction": _placed(("machine", "copy_bandwidth"), b"-1." + b"1" * 3_900_000),
        "a long exponent": _placed(("machine", "copy_bandwidth"), b"1e" + b"9" * 3_900_000),
        "many long numbers": _placed(("comparisons", 0, "runs"), b"[" + b",".join([b"9" * 4000] * 900) + b"]"),
        "many comparisons": _placed(("comparisons",), b"[" + b",".join([b"{}"] * 1_000_000) + b"]"),
        "many samples": _placed((*run, "baseline_s"), b"[" + b",".join([b"1.0"] * 900_000) + b"]"),
        "one comparison many times": _set(("comparisons",), GOOD["comparisons"] * 400),
        "a long string": _set(("machine", "os"), "x" * 3_900_000),
        "many escapes": _placed(("machine", "os"), b'"' + b"\\u0041" * 600_000 + b'"'),
        "100 MB": b'{"schema": "' + b"x" * 100_000_000 + b'"}',
        "just over 4 MB": whole + b" " * 4_000_000,
        "cut off": whole[: len(whole) // 2],
        "two records": whole + whole,
        "UTF-16": whole.decode().encode("utf-16"),
        "invalid UTF-8": whole.replace(b"Test Chip", b"Test \xff\xfe", 1),
        "overlong UTF-8": whole.replace(b"Test Chip", b"Test \xc0\xaf", 1),
        "JavaScript": b"module.exports = " + whole,
        "a comment": b"/* a record */" + whole,
        "HTML": b"<!doctype html><script>alert(1)</script>",
        "a prototype": whole.replace(b'"schema": 1', b'"__proto__": {}, "schema": 1', 1),
        "a trailing comma": whole[:-1] + b",}",
        "schema 2": whole.replace(b'"schema": 1', b'"schema": 2', 1),
        "schema 1.0": whole.replace(b'"schema": 1', b'"schema": 1.0', 1),
        "schema true": whole.replace(b'"schema": 1', b'"schema": true', 1),
        "empty": b"",
        "spaces": b" " * 1_000_000,
    }.items()


MARKUP = (
    "<evil-tag evil=evil>&lt;evil&gt;</script><script>evil()</script>",
    "\"'><img src=evil onerror=evil()>",
    "`evil <javascript:evil>`_ :raw-html:`<evil>` |evil| evil_ **evil**",
    "[evil](javascript:evil) ![evil](evil.png) {raw}`<evil>` <https://evil.example>",
    "x\n\n.. raw:: html\n\n   <evil-tag>\n\n.. include:: /etc/passwd\n",
    "x\n\n```{raw} html\n<evil-tag>\n```\n\n```{include} /etc/passwd\n```\n",
    "<!-- evil --> <![CDATA[evil]]> <svg onload=evil> {{ evil }} {% evil %} ${evil} \\(evil\\) $$evil$$",
)
"""Texts that mean something in HTML, JavaScript, RST, MyST, Jinja or TeX. None may mean it on a page."""


def text_fields(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where a record holds text of its own choice: no ids, dates or words from a list."""
    fixed = {"id", "created", "backend", "power", "cache", "kind", "example"}
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        here = (*path, key)
        if isinstance(value, dict | list):
            yield from text_fields(value, here)
        elif (
            (isinstance(value, str) or key == "gpu")
            and key not in fixed
            and here[:1] + here[-1:] != ("comparisons", "name")
        ):
            yield here


def infected(text: str) -> dict[str, Any]:
    """Return the record with ``text`` in every field that holds text."""
    data = copy.deepcopy(GOOD)
    for path in text_fields(GOOD):
        part: Any = data
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = text
    return data
