"""Two records, or two commits of one, side by side: what counts as a change, and as slower."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from conftest import make_entry, make_record, make_run

from compile_guide import __main__
from compile_guide.records import agreement
from compile_guide.records import diff as report
from compile_guide.records import schema as record
from compile_guide.records.schema import Entry, Record

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
    record.save(a, folder / "a.json")
    record.save(b, folder / "b.json")
    return [str(folder / "a.json"), str(folder / "b.json")]


def compare(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = __main__.main(["compare", *argv])
    out = capsys.readouterr()
    return status, out.out, out.err


# What counts


@pytest.mark.parametrize(("seconds", "verdict"), [(1e-3, "no change"), (1.1e-3, "longer"), (0.9e-3, "shorter")])
def test_the_candidates_time_has_moved_when_the_intervals_lie_apart(seconds: float, verdict: str) -> None:
    (row,) = report.rows(make_record(took("x", 1e-3)), make_record(took("x", seconds)))
    assert row.time_verdict == verdict and row.changed == (verdict != "no change")


def test_a_slowdown_within_the_intervals_is_none() -> None:
    wide = (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)
    (row,) = report.rows(make_record(took("x", 1e-3, wide)), make_record(took("x", 1.2e-3, wide)))
    assert row.decided and row.slowdown == 0


def test_a_slowdown_is_the_share_by_which_the_median_time_grew() -> None:
    (row,) = report.rows(make_record(took("x", 1e-3)), make_record(took("x", 1.2e-3)))
    assert row.slowdown == pytest.approx(0.2)


def test_between_chips_seconds_are_not_compared_and_the_speed_up_decides() -> None:
    a, b = make_record(took("same", 1e-3), gained("less", 3.0)), make_record(took("same", 1e-6), gained("less", 2.0))
    same, less = report.rows(a, elsewhere(b))
    assert (same.time_verdict, same.slowdown) == ("not compared", 0)
    assert less.verdict == "lower" and less.slowdown == pytest.approx(0.5)


def test_on_one_chip_a_smaller_speed_up_alone_is_no_slowdown() -> None:
    (row,) = report.rows(make_record(gained("x", 3.0)), make_record(gained("x", 2.0)))
    assert row.verdict == "lower" and row.slowdown == 0


@pytest.mark.parametrize("b", [took("x", 9e-3, (0.9, 1.1)), took("other", 9e-3)])
def test_without_an_interval_or_a_counterpart_nothing_is_decided(b: Entry) -> None:
    row = report.rows(make_record(took("x", 1e-3)), make_record(b))[0]
    assert not row.decided and row.slowdown == 0


def test_a_single_process_has_the_interval_of_its_samples() -> None:
    run = record.Run(**{**msgspec.structs.asdict(make_run()), "candidate_s": tuple(1e-3 + i * 1e-6 for i in range(12))})
    low, high = report.time_interval(Entry("e", "x", (run,), None, None, "").comparison()) or (0, 0)
    assert 1e-3 < low < high < 1.011e-3


# Agreement


def test_two_runs_agree_as_far_as_their_intervals_overlap() -> None:
    a = make_record(*(took(name, 1e-3) for name in "uvwxy"), took("only-a", 1e-3), gained("z", 3.0))
    b = make_record(
        *(took(name, 1e-3 * f) for name, f in zip("uvwxy", (1, 1.01, 1.02, 1.3, 0.5), strict=True)), gained("z", 2.0)
    )
    assert agreement.as_lines(report.rows(a, b)) == [
        "Speed-up: the intervals of 5 of 6 comparisons overlap (83 %); half of the medians moved by 0 % or less, nine in"
        " ten by 50 % or less.",
        "  z: 3.00× → 2.00× (−33 %)",
        "Candidate's time: the intervals of 4 of 6 comparisons overlap (67 %); half of the medians moved by 1.0 % or less,"
        " nine in ten by 100 % or less.",
        "  y: 1.0 ms → 500 µs (−50 %)",
        "  x: 1.0 ms → 1.3 ms (+30 %)",
        "In one record alone: 1 of 7 comparisons.",
    ]


def test_between_chips_only_the_speed_ups_can_agree() -> None:
    a, b = make_record(gained("x", 3.0)), elsewhere(make_record(gained("x", 3.0)))
    assert agreement.as_lines(report.rows(a, b)) == [
        "Speed-up: the intervals of 1 of 1 comparisons overlap (100 %); half of the medians moved by 0 % or less, nine in"
        " ten by 0 % or less."
    ]


def test_without_an_interval_in_both_records_nothing_agrees() -> None:
    found = report.rows(make_record(took("x", 1e-3)), make_record(took("x", 1e-3, (0.9, 1.1))))
    assert agreement.as_lines(found)[0] == "Speed-up: no comparison has an interval in both records."


def test_two_sizes_of_one_chip_are_two_chips() -> None:
    one = make_record(took("x", 1e-3))
    two = msgspec.structs.replace(one, machine=msgspec.structs.replace(one.machine, gpu_cores=40))
    assert not report.same_chip(one, two)


# The exit status


def test_slower_by_more_than_the_share_ends_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = put(
        tmp_path, make_record(took("x", 1e-3), took("y", 1e-3)), make_record(took("x", 1.2e-3), took("y", 1e-3))
    )
    status, out, err = compare(capsys, *files, "--fail-if-slower", "5%")
    assert status == 1 and "time from A to B" in out
    assert out.splitlines()[-1] == "  x: 1.0 ms → 1.2 ms (+20 %)"
    assert err == "slower: x, by 20.0% (candidate's time)\n1 of 2 comparisons slower by more than 5 %\n"


def test_slower_by_less_than_the_share_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = put(tmp_path, make_record(took("x", 1e-3)), make_record(took("x", 1.2e-3), took("new", 1e-3)))
    status, _, err = compare(capsys, *files, "--fail-if-slower", "25%")
    assert (status, err) == (0, "0 of 1 comparisons slower by more than 25 %; 1 could not be decided\n")


def test_a_gate_that_can_judge_nothing_does_not_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = put(tmp_path, make_record(took("x", 1e-3)), make_record(took("y", 1e-3)))
    status, _, err = compare(capsys, *files, "--fail-if-slower", "5%")
    assert status == 2 and err.startswith("compile_guide: no comparison has an interval in both records")


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
    lines = report.as_markdown(a, b, report.rows(a, b)).splitlines()
    assert lines[1] == "- B: `cpu-test-chip-mlx-0-32-4, Other / 'Chip', MLX 0.32.4, 2026-11-22T00:00:00Z`"
    assert lines[3] == report.CHIPS_DIFFER


# Commits


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A checkout with two commits of one record, the second slower, and a broken record in a third."""
    path = tmp_path / "deep" / "r.json"
    git(tmp_path, "init", "--quiet")
    for seconds in (1e-3, 2e-3):
        record.save(make_record(took("x", seconds)), path)
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "-m", "r")
    return path


def git(folder: Path, *argv: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *argv], cwd=folder, check=True)


def test_two_commits_of_one_record(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = compare(capsys, f"{history}@HEAD~1", f"{history}@HEAD", "--fail-if-slower", "5%")
    assert status == 1 and err.startswith("slower: x, by 100.0%")


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
    assert (status, out, err) == (2, "", f"compile_guide: {message}\n")


def test_a_file_that_the_revision_lacks_is_one_line(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = compare(capsys, f"{history.with_name('new.json')}@HEAD", str(history))
    assert status == 2 and err.startswith("compile_guide: new.json@HEAD: there is no ") and err.count("\n") == 1


def test_outside_a_checkout_or_without_git_it_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "is in no git checkout" in compare(capsys, f"{tmp_path}/r.json@HEAD", "b.json")[2]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compare(capsys, f"{tmp_path}/r.json@HEAD", "b.json")[2] == (
        "compile_guide: r.json@HEAD: needs git, which isn't installed; name a file without '@' instead\n"
    )
