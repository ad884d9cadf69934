"""Ask a database of vulnerabilities (OSV, by way of pip-audit) about every version in the locks; without an answer, fail.

``python requirements/audit.py [OPTION OF pip-audit ...]`` needs the network and the lock ``audit``. Exit status 0: none of
them has a known vulnerability; 1: those printed have one; 2: not every version could be looked up, in one line.

pip-audit alone would say less. It looks at the versions for the Python and the system that it runs on, while a lock is
for all of them, and it ends with status 0 after it has skipped a package or an entry of the database that it can't read.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)[^\\]*((?:\\\n\s+--hash=\S+\s*)+)", re.MULTILINE)
AUDIT = ("--strict", "--disable-pip", "--vulnerability-service", "osv", "--progress-spinner", "off", "--format", "json")


class Unknown(Exception):
    """Not every version could be looked up; the message says in a few words what was in the way."""


@dataclass(frozen=True)
class Pin:
    """A version in the locks, with its hashes as they stand there."""

    name: str
    version: str
    hashes: str

    def __str__(self) -> str:
        """Return it as a line of a requirements file, without marker."""
        return f"{self.name}=={self.version} {' '.join(self.hashes.replace(chr(92), ' ').split())}"


def pins(folder: Path = FOLDER) -> list[Pin]:
    """Return every version in the locks of a folder, each once, by name."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]
    found = {match.group(1, 2): Pin(*match.groups()) for text in texts for match in PIN.finditer(text)}
    return [found[key] for key in sorted(found)]


def rounds(found: list[Pin]) -> list[list[Pin]]:
    """Return the pins in as many lists as a package has versions at most: pip-audit wants one version of each."""
    made: list[list[Pin]] = []
    for pin in found:
        place = next((one for one in made if one[-1].name != pin.name), None)
        if place is None:
            made.append([pin])
        else:
            place.append(pin)
    return made


def look_up(asked: list[Pin], options: list[str]) -> list[dict[str, Any]]:
    """Return what the database knows of the pins, one version a package. Raises Unknown unless it told of each."""
    with tempfile.TemporaryDirectory() as place:
        wanted, answer = Path(place, "pins.txt"), Path(place, "answer.json")
        wanted.write_text("\n".join(map(str, asked)) + "\n", encoding="utf-8")
        files = ("--cache-dir", place, "--output", str(answer), "--requirement", str(wanted))
        command = [sys.executable, "-m", "pip_audit", *AUDIT, *files, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if line.strip()]
        if warned := [line for line in said if line.startswith(("WARNING", "ERROR"))]:
            raise Unknown(warned[0])
        if not answer.is_file():
            raise Unknown(said[-1] if said else f"pip-audit ended with status {done.returncode}")
        told: list[dict[str, Any]] = json.loads(answer.read_bytes())["dependencies"]
    # whatever pip-audit's status says, none may have been left out in silence
    missing = {(pin.name, pin.version) for pin in asked} - {(one["name"], one.get("version")) for one in told}
    if missing:
        raise Unknown(f"no answer about {' '.join(min(missing))}")
    return told


def describe(package: dict[str, Any], flaw: dict[str, Any]) -> str:
    """Return a vulnerability in one line."""
    names = ", ".join([flaw["id"], *sorted(flaw["aliases"])])
    mended = f"mended in {', '.join(flaw['fix_versions'])}" if flaw["fix_versions"] else "not mended yet"
    return f"{package['name']} {package['version']}: {names}, {mended}. {flaw['description'][:200]}".rstrip()


def main(options: list[str]) -> int:
    """Look every version up, print what is known, and return the exit status."""
    asked = pins()
    try:
        told = [one for versions in rounds(asked) for one in look_up(versions, options)]
    except Unknown as problem:
        print(
            f"audit: of {len(asked)} versions in the locks not all could be looked up: {problem}"[:400], file=sys.stderr
        )
        return 2
    flaws = [describe(package, flaw) for package in told for flaw in package["vulns"]]
    count = f"{len(flaws) or 'no'} known {'vulnerability' if len(flaws) == 1 else 'vulnerabilities'}"
    print(*flaws, f"audit: {count} in {len(asked)} versions", sep="\n")
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
