"""Two records, or two commits of one, side by side: what counts as a change, and as slower."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from conftest import make_entry, make_record, make_run

from compile_guide import __main__
from compile_guide.formatting import NO_BREAK
from compile_guide.records import record_set
from compile_guide.records.diff import CHIPS_DIFFER, agreement_lines, as_markdown, rows, same_chip
from compile_guide.records.schema import Entry, Record, save

EVEN = (0.98, 0.99, 1.0, 1.0, 1.01, 1.02)


def took(name: str, base: float, spread: tuple[float, ...] = EVEN) -> Entry:
    """A comparison of ratio 2 whose candidate takes about ``base`` seconds, in as many processes as there are spreads."""
    return Entry("gelu_speedup", name, tuple(make_run(2.0 * s, base=base * s) for s in spread), None, None, "")


def gained(name: str, ratio: float) -> Entry:
    """A comparison whose candidate takes a millisecond and gains this much."""
    return make_entry(name, ratios=tuple(ratio * s for s in EVEN))


def elsewhere(one: Record) -> Record:
    """The same record from another chip."""
    return msgspec.structs.replace(one, machine=msgspec.structs.replace(one.machine, chip="Other | `Chip`"))


def put(folder: Path, a: Record, b: Record) -> list[str]:
    save(a, folder / "a.json")
    save(b, folder / "b.json")
    return [str(folder / "a.json"), str(folder / "b.json")]


def compare(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = __main__.main(["compare", *argv])
    out, err = spaced([*capsys.readouterr()])
    return status, out, err


def spaced(lines: list[str]) -> list[str]:
    """The lines with plain spaces: no line ends before a percent sign."""
    return [line.replace(NO_BREAK, " ") for line in lines]


# What counts


@pytest.mark.parametrize(("seconds", "verdict"), [(1e-3, "no change"), (1.1e-3, "longer"), (0.9e-3, "shorter")])
def test_the_candidates_time_has_moved_when_the_intervals_lie_apart(seconds: float, verdict: str) -> None:
    (row,) = rows(make_record(took("x", 1e-3)), make_record(took("x", seconds)))
    assert row.time_verdict == verdict and row.changed == (verdict != "no change")


def test_a_slowdown_within_the_intervals_is_none() -> None:
    wide = (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)
    (row,) = rows(make_record(took("x", 1e-3, wide)), make_record(took("x", 1.2e-3, wide)))
    assert row.decided and row.slowdown == 0


def test_a_slowdown_is_the_share_by_which_the_median_time_grew() -> None:
    (row,) = rows(make_record(took("x", 1e-3)), make_record(took("x", 1.2e-3)))
    assert row.slowdown == pytest.approx(0.2)


def test_between_chips_seconds_are_not_compared_and_the_speed_up_decides() -> None:
    a, b = make_record(took("same", 1e-3), gained("less", 3.0)), make_record(took("same", 1e-6), gained("less", 2.0))
    same, less = rows(a, elsewhere(b))
    assert (same.time_verdict, same.slowdown) == ("not compared", 0)
    assert less.verdict == "lower" and less.slowdown == pytest.approx(0.5)


def test_on_one_chip_a_smaller_speed_up_alone_is_no_slowdown() -> None:
    (row,) = rows(make_record(gained("x", 3.0)), make_record(gained("x", 2.0)))
    assert row.verdict == "lower" and row.slowdown == 0


@pytest.mark.parametrize("b", [took("x", 9e-3, (0.9, 1.1)), took("other", 9e-3)])
def test_without_an_interval_or_a_counterpart_nothing_is_decided(b: Entry) -> None:
    row = rows(make_record(took("x", 1e-3)), make_record(b))[0]
    assert not row.decided and row.slowdown == 0


def test_a_single_process_has_the_interval_of_its_samples() -> None:
    run = make_run(candidate_s=tuple(1e-3 + i * 1e-6 for i in range(12)))
    low, high = Entry("e", "x", (run,), None, None, "").comparison().time_interval or (0, 0)
    assert 1e-3 < low < high < 1.011e-3


# Agreement


def test_two_runs_agree_as_far_as_their_intervals_overlap() -> None:
    a = make_record(*(took(name, 1e-3) for name in "uvwxy"), took("only-a", 1e-3), gained("z", 3.0))
    b = make_record(
        *(took(name, 1e-3 * f) for name, f in zip("uvwxy", (1, 1.01, 1.02, 1.3, 0.5), strict=True)), gained("z", 2.0)
    )
    assert spaced(agreement_lines(rows(a, b))) == [
        "Speed-up: the intervals of 5 of 6 comparisons overlap (83 %); half of the medians differ by 0 % or less,"
        " nine in ten by 50 % or less.",
        "  z: 3.00× → 2.00× (−33 %)",
        "Candidate's time: the intervals of 4 of 6 comparisons overlap (67 %); half of the medians differ by 1.0 % or less,"
        " nine in ten by 100 % or less.",
        "  y: 1.0 ms → 500 µs (−50 %)",
        "  x: 1.0 ms → 1.3 ms (+30 %)",
        "In one record alone: 1 of 7 comparisons.",
    ]


def test_between_chips_only_the_speed_ups_can_agree() -> None:
    a, b = make_record(gained("x", 3.0)), elsewhere(make_record(gained("x", 3.0)))
    assert spaced(agreement_lines(rows(a, b))) == [
        "Speed-up: the intervals of 1 of 1 comparisons overlap (100 %); half of the medians differ by 0 % or less, nine in"
        " ten by 0 % or less."
    ]


def test_without_an_interval_in_both_records_nothing_agrees() -> None:
    found = rows(make_record(took("x", 1e-3)), make_record(took("x", 1e-3, (0.9, 1.1))))
    assert agreement_lines(found)[0] == "Speed-up: no comparison has an interval in both records."


def test_two_sizes_of_one_chip_are_two_chips() -> None:
    one = make_record(took("x", 1e-3))
    two = msgspec.structs.replace(one, machine=msgspec.structs.replace(one.machine, gpu_cores=40))
    assert not same_chip(one, two)


# The exit status


def test_slower_by_more_than_the_share_ends_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = put(
        tmp_path, make_record(took("x", 1e-3), took("y", 1e-3)), make_record(took("x", 1.2e-3), took("y", 1e-3))
    )
    status, out, err = compare(capsys, *files, "--fail-if-slower", "5%")
    assert status == 1 and "time from A to B" in out
    assert out.splitlines()[-1] == "  x: 1.0 ms → 1.2 ms (+20 %)"
    assert err == "slower: x, by 20 % (candidate's time)\n1 of 2 comparisons slower by more than 5.0 %\n"


def test_slower_by_less_than_the_share_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = put(tmp_path, make_record(took("x", 1e-3)), make_record(took("x", 1.2e-3), took("new", 1e-3)))
    status, _, err = compare(capsys, *files, "--fail-if-slower", "25%")
    assert (status, err) == (0, "0 of 1 comparisons slower by more than 25 %; 1 could not be decided\n")


def slow(name: str, seconds: float) -> Entry:
    return Entry("gelu_speedup", name, (), None, seconds, "")


LOST = {
    "missing": ((), "missing in B"),
    "too slow": ((slow("gone", 30.0),), "too slow to compare in B: one call takes 30.0 s"),
    "no interval": ((took("gone", 1e-3, (0.9, 1.1)),), "without an interval in B"),
}


@pytest.mark.parametrize(("entries", "why"), LOST.values(), ids=LOST)
def test_a_comparison_that_b_can_not_be_judged_by_fails_the_gate_unless_that_is_allowed(
    entries: tuple[Entry, ...], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = took("kept", 1e-3)
    files = put(tmp_path, make_record(kept, took("gone", 1e-3)), make_record(kept, *entries))
    told = f"not compared: gone, {why}\n0 of 1 comparisons slower by more than 5.0 %; 1 could not be decided\n"
    status, _, err = compare(capsys, *files, "--fail-if-slower", "5%")
    assert (status, err) == (1, told)
    status, _, err = compare(capsys, *files, "--fail-if-slower", "5%", "--allow-missing")
    assert (status, err) == (0, told)


def test_a_slow_comparison_of_a_that_is_missing_in_b_fails_the_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = took("kept", 1e-3)
    files = put(tmp_path, make_record(kept, slow("gone", 9.0)), make_record(kept))
    status, _, err = compare(capsys, *files, "--fail-if-slower", "5%")
    assert status == 1 and err.startswith("not compared: gone, missing in B\n")


def test_what_is_too_slow_in_both_records_fails_no_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = (took("x", 1e-3), slow("y", 9.0))
    files = put(tmp_path, make_record(*both), make_record(*both))
    assert compare(capsys, *files, "--fail-if-slower", "5%")[0] == 0


def test_allowing_what_is_missing_still_fails_for_what_is_slower(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = put(tmp_path, make_record(took("x", 1e-3), took("gone", 1e-3)), make_record(took("x", 2e-3)))
    assert compare(capsys, *files, "--fail-if-slower", "5%", "--allow-missing")[0] == 1


def test_a_gate_that_can_judge_nothing_does_not_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = put(tmp_path, make_record(took("x", 1e-3)), make_record(took("y", 1e-3)))
    status, _, err = compare(capsys, *files, "--fail-if-slower", "5%")
    assert status == 2 and err.startswith("compile-guide: no comparison has an interval in both records")


@pytest.mark.parametrize("share", ["5", "-1%", "much", "nan%", "%"])
def test_a_share_is_a_percentage(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        __main__.main(["compare", "a.json", "b.json", f"--fail-if-slower={share}"])
    assert caught.value.code == 2 and f"{share}: a share in percent, such as 5%" in capsys.readouterr().err


# Markdown


def test_markdown_shows_what_changed_and_folds_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = put(
        tmp_path, make_record(took("x", 1e-3), took("y", 1e-3)), make_record(took("x", 1.2e-3), took("y", 1e-3))
    )
    status, out, _ = compare(capsys, *files, "--markdown")
    shown, _, folded = out.partition("<details><summary>All comparisons</summary>\n\n| comparison |")
    assert status == 0 and "1 of 2 comparisons in both records changed beyond their intervals." in shown
    assert "| `x` | 1.0 ms |" in shown and "`y`" not in shown
    assert "\n- Candidate's time: the intervals of 1 of 2 comparisons overlap (50 %); " in shown
    assert "\n  - `x`: 1.0 ms → 1.2 ms (+20 %)\n" in shown
    assert "| `x` |" in folded and "| `y` |" in folded and folded.endswith("\n</details>\n")
    assert {line.count(" | ") for line in out.splitlines() if line.startswith("|")} == {6}


def test_what_stands_in_one_record_alone_has_not_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = put(tmp_path, make_record(took("x", 1e-3)), make_record(took("x", 1e-3), took("new", 1e-3)))
    shown, _, folded = compare(capsys, *files, "--markdown")[1].partition("<details>")
    assert "0 of 1 comparisons in both records changed beyond their intervals." in shown
    assert "- In one record alone: 1 of 2 comparisons." in shown and "`new`" not in shown and "`new`" in folded


def test_contributed_text_is_no_markup_in_markdown(tmp_path: Path) -> None:
    a, b = make_record(took("x", 1e-3)), elsewhere(make_record(took("x", 1e-3)))
    lines = as_markdown(a, b, rows(a, b)).splitlines()
    assert lines[1] == "- B: `cpu-test-chip-mlx-0-32-4, Other / 'Chip', MLX 0.32.4, 2026-11-22T00:00:00Z`"
    assert lines[3] == CHIPS_DIFFER


# Commits


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A checkout with two commits of one record, the second slower, and a broken record in a third."""
    path = tmp_path / "deep" / "r.json"
    git(tmp_path, "init", "--quiet")
    for seconds in (1e-3, 2e-3):
        save(make_record(took("x", seconds)), path)
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "-m", "r")
    return path


def git(folder: Path, *argv: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *argv], cwd=folder, check=True)


def test_two_commits_of_one_record(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = compare(capsys, f"{history}@HEAD~1", f"{history}@HEAD", "--fail-if-slower", "5%")
    assert status == 1 and err.startswith("slower: x, by 100 %")


def test_a_relative_path_and_a_file_that_is_gone_from_the_tree(
    history: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(history.parents[1])
    shutil.move(history.parent, history.parents[1] / "away")
    assert compare(capsys, "deep/r.json@HEAD~1", "away/r.json")[0] == 0


def test_a_file_with_an_at_sign_in_its_name_is_a_file(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = history.with_name("r@HEAD.json")
    shutil.copy(history, odd)
    assert compare(capsys, str(odd), str(history))[0] == 0


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("no-such", "r.json@no-such: git knows no revision 'no-such' here: fetch it, or name another"),
        ("--help", "r.json@--help: name a commit, a branch or a tag behind the '@'"),
        ("", "r.json@: name a commit, a branch or a tag behind the '@'"),
    ],
)
def test_an_unknown_revision_is_one_line(
    history: Path, revision: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = compare(capsys, f"{history}@{revision}", str(history))
    assert (status, out, err) == (2, "", f"compile-guide: {message}\n")


def test_a_file_that_the_revision_lacks_is_one_line(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = compare(capsys, f"{history.with_name('new.json')}@HEAD", str(history))
    assert status == 2 and err.startswith("compile-guide: new.json@HEAD: there is no ") and err.count("\n") == 1


def test_outside_a_checkout_or_without_git_it_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "is in no git checkout" in compare(capsys, f"{tmp_path}/r.json@HEAD", "b.json")[2]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compare(capsys, f"{tmp_path}/r.json@HEAD", "b.json")[2] == (
        "compile-guide: r.json@HEAD: needs git, which isn't installed; name a file without '@' instead\n"
    )


# Foreign repositories


@pytest.fixture
def hostile(history: Path, tmp_path: Path) -> Path:
    """A record in a checkout whose settings name programs that would leave a mark."""
    mark, checkout = tmp_path / "mark", history.parents[1]
    program = f"touch {mark};cat"
    (checkout / ".gitattributes").write_text("*.json diff=evil filter=evil\n")
    for name in (
        *("core.fsmonitor", "core.pager", "core.sshCommand", "core.gitProxy", "core.alternateRefsCommand"),
        *("diff.external", "diff.evil.textconv", "diff.evil.command", "filter.evil.smudge", "filter.evil.clean"),
    ):
        git(checkout, "config", name, program)
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        (checkout / ".git" / "hooks").mkdir(exist_ok=True)
        (checkout / ".git" / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (checkout / ".git" / "hooks" / hook).chmod(0o755)
    return history


def test_no_program_that_a_foreign_repository_names_is_run(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = hostile.parents[1] / "mark"
    assert compare(capsys, f"{hostile}@HEAD~1", f"{hostile}@HEAD")[0] == 0
    assert not mark.exists()
    subprocess.run(["git", "diff", "HEAD~1", "HEAD"], cwd=hostile.parents[1], capture_output=True, check=False)
    assert mark.exists()  # the danger is real: other commands of git run them


def test_an_object_that_is_not_there_is_not_fetched(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clone without files' contents: git would fetch them from where its settings say, by a program that they name."""
    mark, clone, source = tmp_path / "mark", tmp_path / "clone", history.parents[1]
    git(source, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{source}", str(clone))
    git(clone, "config", "remote.origin.uploadpack", f"touch {mark};git-upload-pack")
    status, out, err = compare(capsys, f"{clone}/deep/r.json@HEAD", str(history))
    assert (status, out) == (2, "")
    assert err == "compile-guide: r.json@HEAD: this checkout lacks its content: fetch it\n"
    assert not mark.exists()
    subprocess.run(["git", "cat-file", "-s", "HEAD:deep/r.json"], cwd=clone, capture_output=True, check=True)
    assert mark.exists()  # the danger is real


def test_a_huge_file_at_a_revision_is_refused_unread(
    history: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    big = history.with_name("big.json")
    with big.open("wb") as file:
        file.truncate(200_000_000)
    git(big.parent, "add", "big.json")
    git(big.parent, "commit", "--quiet", "-m", "big")
    asked: list[tuple[str, ...]] = []
    run = record_set._git
    monkeypatch.setattr(record_set, "_git", lambda *argv: asked.append(argv[2:]) or run(*argv))
    status, _, err = compare(capsys, f"{big}@HEAD", str(history))
    assert (status, err) == (2, "compile-guide: big.json@HEAD: larger than 4 MB; no machine's record is\n")
    assert ("cat-file", "blob") not in {argv[:2] for argv in asked}
