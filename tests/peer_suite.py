"""sphinx-gallery's own tests of whole builds, on its own project of nearly every feature: alone, and with our extension in it.

``python tests/peer_suite.py [alone] [loaded] [measuring]``; without a name, all three ways. Its wheel brings tests and
project. They are copied into a temporary folder, and our extension is added to that project's ``conf.py``; in the third
way one of its scripts measures something, too. Every test that passes alone must pass in the other ways: some need the
network. What the tests say is in ``build/peer-suite/``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from shutil import copytree
from xml.etree import ElementTree

LOGS = Path(__file__).resolve().parents[1] / "build" / "peer-suite"
SETTING = '\nextensions.append("compile_guide.sphinxext")\n'
SCRIPT = "examples_README_header/plot_exp.py"
COMPARISON = """
# %%
# A comparison of ours.

import mlx.core as mx

from compile_guide.timing import compare

compare("exp", mx.exp, mx.compile(mx.exp), mx.ones(4))
"""
ADDED = {"alone": {}, "loaded": {"doc/conf.py": SETTING}, "measuring": {"doc/conf.py": SETTING, SCRIPT: COMPARISON}}
"""What is appended to files of the project, in each way."""


def run(way: str) -> dict[str, bool]:
    """Run the tests in one way, and return for each whether it passed."""
    with tempfile.TemporaryDirectory(prefix="peer-suite-") as folder, as_file(files("sphinx_gallery") / "tests") as its:
        tests = copytree(its, Path(folder, "tests"))
        for name, text in ADDED[way].items():
            with (tests / "tinybuild" / name).open("a", encoding="utf-8") as file:
                file.write(text)
        report, log = Path(folder, "report.xml"), LOGS / f"{way}.log"
        argv = ["-m", "pytest", "-p", "no:cacheprovider", "-rA", f"--junitxml={report}", f"--basetemp={folder}/temp"]
        with log.open("w", encoding="utf-8") as output:
            subprocess.run(
                [sys.executable, *argv, "tests/test_full.py"], cwd=folder, stdout=output, stderr=output, check=False
            )
        return outcomes(report) if report.exists() else {}


def outcomes(report: Path) -> dict[str, bool]:
    """Return from a report of pytest whether each test passed."""
    tests = ElementTree.parse(report).iter("testcase")
    return {test.get("name", ""): not {child.tag for child in test} & {"failure", "error", "skipped"} for test in tests}


def main(ways: list[str]) -> int:
    """Run the tests in these ways and print a line for each; return 1 if the extension makes one fail."""
    LOGS.mkdir(parents=True, exist_ok=True)
    seen: dict[str, dict[str, bool]] = {}
    broken = 0
    for way in ways or list(ADDED):
        seen[way] = run(way)
        failed = [name for name, passed in seen[way].items() if not passed]
        ours = [name for name in failed if seen.get("alone", {}).get(name, True)]
        words = "".join(f"\n  {name}{'' if name in ours else ' (alone, too)'}" for name in failed)
        print(
            f"{way}: {len(seen[way]) - len(failed)} of {len(seen[way])} passed{words and ', failed:'}{words}",
            flush=True,
        )
        broken += way != "alone" and bool(ours or not seen[way])
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
