"""Whether the pages are valid HTML, by the Nu HTML checker."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from browser.findings import Finding


def invalid(root: Path, names: list[str], jar: Path) -> Iterator[Finding]:
    """Yield what the checker calls an error.

    Raises:
        RuntimeError: the checker did not end with a report.
    """
    command = ["java", "-jar", str(jar), "--format", "json", "--exit-zero-always", "--errors-only"]
    ended = subprocess.run(
        [*command, *(str(root / name) for name in names)], capture_output=True, text=True, timeout=300, check=False
    )
    try:
        messages = json.loads(ended.stderr)["messages"]
    except (ValueError, KeyError):
        raise RuntimeError(f"the Nu HTML checker said: {ended.stderr[-500:].strip() or 'nothing'}") from None
    for message in messages:
        file = Path(unquote(urlsplit(message.get("url", "")).path))
        page = file.relative_to(root.resolve()).as_posix() if message.get("url") else "?"
        yield Finding("valid HTML", page, f"line {message.get('lastLine', '?')}: {message['message']}")
