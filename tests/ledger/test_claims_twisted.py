"""Each check can come out both ways: on the installed MLX, and on one that was changed on purpose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from guide import CLAIMS, PATHS, all_claims
from quick_compiler import with_real_compiler
from twists import TWISTS, UNDECIDED

from compile_guide.ledger.check import FAILED
from compile_guide.ledger.claims import Seen
from compile_guide.ledger.runner import expected_file, load_expected
from compile_guide.recorder.machine import backend

TOPICS = {
    "backends", "boundaries", "debugging", "fusion", "habits", "indexing", "kernel_files", "layers", "metalfaiss",
    "numerics", "numpy_habits", "optimizers", "pitfalls", "temporary_folder", "thread_ends", "threads", "wrappers",
}  # fmt: skip
EXPECTED = load_expected(expected_file(CLAIMS, backend()))
"""What `nox -s claims` saw last on the installed MLX: by this it fails, and so do we."""
AGAIN = "again"
PROGRAM = """
import importlib, json, sys
from guide import CLAIMS
from compile_guide.ledger.check import run_check
from compile_guide.ledger.claims import load_claims
id, topic, file = sys.argv[1:]
seen = run_check(load_claims(CLAIMS, topic)[id], importlib.import_module("twisted_mx"))
with open(file, "w") as out:
    json.dump([seen.holds, seen.observed], out)
"""


def check(id: str, twist: str, place: Path) -> Seen:
    """Run a check in a process of its own; an exception that leaves the check is a failure of the check."""
    place.mkdir()
    path = os.pathsep.join(map(str, [*PATHS, Path(__file__).resolve().parent]))
    env = {**os.environ, "TWIST": twist, "PYTHONPATH": path}
    claim = all_claims()[id]
    if claim.cold:
        env |= {"TMPDIR": str(place), "PATH": with_real_compiler()}  # such a check may time what the compiler does
    argv = [sys.executable, "-c", PROGRAM, id, claim.topic, str(place / "seen.json")]
    ended = subprocess.run(argv, env=env, cwd=place, capture_output=True, text=True, timeout=180)
    assert (place / "seen.json").exists(), ended.stderr
    seen = Seen(*json.loads((place / "seen.json").read_text()))
    assert not seen.observed.startswith(FAILED), seen
    if not twist and seen.holds is not EXPECTED.get(id, seen.holds):
        assert place.name != AGAIN, seen
        return check(id, twist, place / AGAIN)  # a check that takes times may have been disturbed by another test
    return seen


def outcomes(id: str, twists: tuple[str, ...], root: Path) -> list[Seen]:
    """Return what a check sees on the installed MLX and on each twisted one."""
    with ThreadPoolExecutor(2) as pool:
        runs = enumerate(("", *twists))
        return list(pool.map(lambda run: check(id, run[1], root / str(run[0])), runs))


def skip_where_it_is_not_asked(plain: Seen, twists: Iterable[str]) -> None:
    """Skip a check that can't be decided on this GPU, or whose twist pretends to a GPU that is there already."""
    if backend() != "cpu" and (plain.holds is None or any("with_gpu" in twist for twist in twists)):
        pytest.skip(f"with a GPU this can't come out both ways: {plain.observed}")


def test_every_claim_of_these_topics_has_a_twist():
    ours = {claim.id for claim in all_claims().values() if claim.topic in TOPICS}
    assert ours == {*TWISTS, *UNDECIDED}


@pytest.mark.parametrize("id", list(TWISTS))
def test_check_comes_out_both_ways(id: str, tmp_path: Path):
    seen = outcomes(id, TWISTS[id], tmp_path)
    skip_where_it_is_not_asked(seen[0], TWISTS[id])
    assert {one.holds for one in seen} >= {True, False}, seen


@pytest.mark.parametrize("id", list(UNDECIDED))
def test_statement_about_time_is_counted_and_left_open(id: str, tmp_path: Path):
    plain, twisted = outcomes(id, UNDECIDED[id], tmp_path)
    assert plain.holds is twisted.holds is None
    assert plain.observed != twisted.observed
