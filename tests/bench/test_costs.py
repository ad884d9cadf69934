"""The benchmarks of builds, recordings and growth: how they measure, and the file that they write."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from site_builds import write

from benchmarks import BenchError, builds, recording, scale, watched_worker
from benchmarks import __main__ as command
from benchmarks.builds import NAMES, Copy, Cost
from benchmarks.costs import Part, load, put, side_by_side
from compile_guide.records.schema import entry_of

MACHINE: dict[str, str | int] = {"chip": "Test Chip", "cores": 2, "backend": "cpu", "python": "3.12.0"}


def part(**values: tuple[float, ...]) -> Part:
    return Part("2026-11-22T00:00:00Z", MACHINE, {"mlx": "0.32.4"}, {k.replace("_", " "): v for k, v in values.items()})


def test_a_part_takes_the_place_of_an_older_one_and_leaves_the_others(tmp_path: Path) -> None:
    file = tmp_path / "costs" / "one.json"
    put(file, "scale", part(a=(1.0,)))
    put(file, "builds", part(b=(2.0,)))
    put(file, "scale", part(a=(3.0, 5.0)))
    costs = load(file)
    assert list(costs.parts) == ["builds", "scale"]
    assert costs.parts["scale"].median("a") == 4.0
    assert [one.name for one in file.parent.iterdir()] == ["one.json"]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text('{"schema": 1, "parts": {"scale": {}}}', encoding="utf-8")
    with pytest.raises(BenchError, match=r"one\.json: .*created.*nox -s bench -- builds"):
        load(file)


def test_a_ratio_is_taken_repeat_by_repeat() -> None:
    ratio = part(ours=(2.0, 4.0, 12.0), theirs=(1.0, 2.0, 4.0)).ratio("ours", "theirs")
    assert ratio == (2.0, 2.0, 2.5)


def test_how_large_builds_are_is_measured_before_the_machine_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def measure(folder: Path, repeats: int) -> builds.Values:
        order.append(f"measured {repeats}")
        return {"1 scripts, 1 records, wall": (1.23456789,)}

    def look() -> tuple[str, dict[str, str | int]]:
        order.append("looked")
        return "cpu-test", MACHINE

    monkeypatch.setitem(command.COSTS, "scale", command.Measurement(measure, 3, ("mlx",)))
    monkeypatch.setattr(command, "this_machine", look)
    file = tmp_path / "one.json"
    assert command.main(["scale", "--repeats", "2", "--out", str(file)]) == 0
    assert order == ["measured 2", "looked"]  # copying memory makes this process larger than a small build
    saved = load(file).parts["scale"]
    assert saved.values == {"1 scripts, 1 records, wall": (1.23457,)} and list(saved.packages) == ["mlx"]


def test_time_within_a_part_is_not_counted_for_the_part_around_it() -> None:
    watch = watched_worker.Watch()
    inner = watch.within("inner", lambda: time.sleep(0.05))

    def both() -> None:
        inner()
        time.sleep(0.02)

    watch.within("outer", both)()
    assert watch.seconds["inner"] >= 0.05
    assert 0.02 <= watch.seconds["outer"] < watch.seconds["inner"]


def record_one(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let :mod:`benchmarks.recording` find this script alone, and measure it for a short time."""
    write(folder, {"gallery/one/example.py": script})

    @dataclass(frozen=True)
    class ShortPlan(recording.measure.Plan):
        budget_s: float = 0.6

    monkeypatch.setattr(recording.measure, "Plan", ShortPlan)
    monkeypatch.setattr(recording, "find_examples", lambda _: (folder / "gallery" / "one" / "example.py",))


def test_a_recording_is_divided_into_parts_that_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = '"""Example"""\nimport mlx.core as mx\nfrom compile_guide.timing import compare\n'
    script += 'compare("example", mx.exp, mx.compile(mx.exp), mx.ones(10))\n'
    record_one(script, tmp_path, monkeypatch)
    values = {name: seconds for name, (seconds,) in recording.where_it_goes(tmp_path / "record", 1).items()}
    whole = values.pop(recording.WALL)
    assert all(seconds > 0 for seconds in values.values())
    assert 0.8 * whole < sum(values.values()) < whole
    assert 0 < timed_s(tmp_path / "record") < values[watched_worker.MEASURING]


def timed_s(folder: Path) -> float:
    """Return the seconds of all calls in the timed blocks of a recording: no load of the machine lets measuring take less."""
    lines = [file.read_text("utf-8").splitlines()[1] for file in folder.glob("0/example/*/sink.jsonl")]
    (runs,) = zip(*(entry_of("example", line).runs for line in lines), strict=True)
    assert len(runs) == recording.measure.Plan.processes
    return sum(sum(one.baseline_s) * one.baseline_calls + sum(one.candidate_s) * one.candidate_calls for one in runs)


def test_a_recording_whose_example_fails_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_one('"""Example"""\nraise ValueError("no data")\n', tmp_path, monkeypatch)
    with pytest.raises(BenchError, match="example failed: exit status 1: ValueError: no data"):
        recording.where_it_goes(tmp_path / "record", 1)


def test_kinds_of_builds_take_turns() -> None:
    order: list[str] = []

    def kind(name: str, seconds: float) -> Cost:
        order.append(name)
        return Cost(seconds, 2 * seconds)

    values = builds.interleaved({"a": lambda: kind("a", 1.0), "b": lambda: kind("b", 3.0)}, 4)
    assert [sorted(order[n : n + 2]) for n in range(0, 8, 2)] == [["a", "b"]] * 4
    assert values["b, wall"] == (3.0,) * 4 and values["a, processor"] == (2.0,) * 4


class Quick(Copy):
    """A copy whose builds take no time and say that they took some."""

    def __init__(self, checkout: Path, folder: Path, way: str = builds.OURS) -> None:
        self.folder = folder
        if way == builds.GALLERY:
            (folder / "docs" / "gallery").mkdir(parents=True)

    def build(self, *options: str) -> Cost:
        return Cost(1.0, 1.0)

    def build_clean(self) -> Cost:
        return Cost(10.0, 10.0)

    def build_edited(self) -> Cost:
        return Cost(2.0, 2.0)

    def build_from_nothing(self) -> Cost:
        return Cost(4.0, 4.0)

    def build_edited_example(self) -> Cost:
        return Cost(3.0, 3.0)


def walls(values: builds.Values) -> builds.Values:
    """The seconds of the clock, by build."""
    return {name.removesuffix(", wall"): times for name, times in values.items() if name.endswith(", wall")}


def test_each_clean_build_comes_with_five_without_a_change_and_five_after_an_edit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(builds, "Copy", Quick)
    monkeypatch.setattr(builds, "weights", lambda guide: {"page index.html, 1 machine": (1.0,)})
    values = builds.beside_plain_tools(tmp_path, 2)
    expected = {f"{builds.CLEAN}{NAMES[way]}": (10.0,) * 2 for way in ("ours", "gallery")}
    expected |= {f"{builds.UNCHANGED}{name}": (1.0,) * 10 for name in NAMES.values()}
    expected |= {f"{builds.EDITED}{name}": (2.0,) * 10 for name in NAMES.values()}
    assert walls(values) == expected
    assert values["page index.html, 1 machine"] == (1.0,)


def test_builds_beside_another_checkout_are_printed_and_saved_only_where_one_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(builds, "Copy", Quick)
    monkeypatch.setattr(command, "FOLDER", tmp_path / "bench")
    argv = ["builds", "--against", str(tmp_path), "--repeats", "2"]
    assert command.main(argv) == 0
    edited, unchanged, clean = capsys.readouterr().out.splitlines()
    assert clean == (
        "clean build: this checkout 10.00 s, the other 10.00 s, 1.00 times (half of the repeats: 1.00-1.00)"
    )
    assert edited.startswith("build after an edit: ") and unchanged.startswith("build without a change: ")
    assert not (tmp_path / "bench").exists()
    assert command.main([*argv, "--out", str(tmp_path / "one.json")]) == 0
    assert len(walls(load(tmp_path / "one.json").parts["builds"].values)) == 6


def test_renders_beside_an_older_commit_are_saved_with_that_commit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "Copy", Quick)
    monkeypatch.setattr(command, "FOLDER", tmp_path / "bench")
    assert command.main(["since", "--against", str(builds.ROOT), "--repeats", "2"]) == 0
    edited, example, clean, file = capsys.readouterr().out.splitlines()
    assert clean.startswith("clean build: this checkout 4.00 s, the other 4.00 s, 1.00 times")
    assert edited.startswith("build after an edit: this checkout 2.00 s")
    assert example.startswith("build after an edit of an example: this checkout 3.00 s")
    part = load(Path(file)).parts["since"]
    assert part.packages["the other"] == builds.commit(builds.ROOT) != "unknown"
    assert len(walls(part.values)) == 6


def test_a_build_from_nothing_keeps_the_kernels_for_builds_alone(tmp_path: Path) -> None:
    copy = Copy(checkout(tmp_path / "checkout"), tmp_path / "copy", builds.SPHINX)
    kept = builds.KERNELS / "kernel.so"
    gone = [builds.DOCTREES / "kernels" / "kernel.so", builds.TEMP / "mlx" / "kernel.so"]
    write(copy.folder, {str(path): "" for path in (kept, *gone)})
    copy.build_from_nothing()
    assert (copy.folder / kept).exists()
    assert not any((copy.folder / path).exists() for path in gone)


def test_a_build_uses_as_many_processors_as_the_noxfile_of_its_checkout_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[list[str]] = []
    monkeypatch.setattr(builds, "timed", lambda argv, *_: said.append(argv) or Cost(1.0, 1.0))
    copy = Copy(checkout(tmp_path / "checkout"), tmp_path / "copy", builds.SPHINX)
    copy.build()
    write(copy.folder, {"noxfile.py": 'sphinx = ("-m", "sphinx", "-j", "auto")'})
    copy.build("-E")
    assert [argv[len(builds.SPHINX_BUILD) :] for argv in said] == [[], ["-j", "auto", "-E"]]


def test_a_build_after_an_edit_of_an_example_finds_one_more_line_in_it(tmp_path: Path) -> None:
    copy = Copy(checkout(tmp_path / "checkout"), tmp_path / "copy", builds.SPHINX)
    write(copy.folder, {str(builds.EDITED_EXAMPLE): "print(1)\n"})
    copy.build_edited_example()
    assert (copy.folder / builds.EDITED_EXAMPLE).read_text("utf-8") == "print(1)\nprint()\n"


def test_a_folder_that_is_no_checkout_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["builds", "--against", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"benchmarks: {tmp_path}: ") and "not a git repository" in error and error.count("\n") == 1


def test_side_by_side_tells_how_many_times_the_other_s_this_checkout_s_build_takes() -> None:
    values = {"clean build, a, wall": (3.0, 6.0), "clean build, b, wall": (2.0, 3.0)}
    assert side_by_side(Part("2026", MACHINE, {}, values), "a", "b") == [
        "clean build: a 4.50 s, b 2.50 s, 1.75 times (half of the repeats: 1.62-1.88)"
    ]


def checkout(folder: Path) -> Path:
    """A small checkout with a committed, an uncommitted and an ignored file."""
    page = "# Page\n\nText with {nobody-knows}`a role`.\n\n```{nor-this} argument\n:option: value\n\nContent\n```\n\nEnd.\n"
    conf = 'extensions = ["myst_parser", "compile_guide.sphinxext", "_ext", "sphinx_gallery.gen_gallery"]\n'
    conf += "sphinx_gallery_conf = {}\nroot_doc = 'measuring'\n"
    files = {"conf.py": conf, "docs/measuring.md": page, ".gitignore": "ignored.txt\n", "ignored.txt": ""}
    for extension in builds.EXTENSIONS:
        files[f"{extension}/__init__.py"] = "raise SystemExit('loaded')\n"
    write(folder, files)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "add", "conf.py"], cwd=folder, check=True)
    return folder


def test_a_copy_holds_the_files_that_git_keeps_or_would_keep(tmp_path: Path) -> None:
    copy = Copy(checkout(tmp_path / "checkout"), tmp_path / "copy")
    names = {path.name for path in copy.folder.rglob("*") if path.is_file()}
    assert names == {"conf.py", "measuring.md", ".gitignore", "__init__.py"}


def test_a_plain_side_builds_pages_whose_roles_and_directives_nobody_knows(tmp_path: Path) -> None:
    copy = Copy(checkout(tmp_path / "checkout"), tmp_path / "copy", builds.SPHINX)
    assert copy.build().wall_s > 0
    page = (copy.folder / "build" / "html" / "measuring.html").read_text(encoding="utf-8")
    assert "Text with a role." in page and "End." in page and "Content" not in page
    assert "WARNING" not in (copy.folder / "build.log").read_text(encoding="utf-8")


def test_an_edited_build_changes_one_page_each_time(tmp_path: Path) -> None:
    copy = Copy(checkout(tmp_path / "checkout"), tmp_path / "copy", builds.SPHINX)
    page = copy.folder / builds.EDITED_PAGE
    before = page.read_text(encoding="utf-8")
    for number in (1, 2):
        copy.build_edited()
        assert page.read_text(encoding="utf-8") == f"{before}\nEdited {number} times.\n"
        html = (copy.folder / "build" / "html" / "measuring.html").read_text(encoding="utf-8")
        assert f"Edited {number} times." in html


def test_a_clean_build_reads_every_page_and_keeps_mlx_s_kernels(tmp_path: Path) -> None:
    copy = Copy(checkout(tmp_path / "checkout"), tmp_path / "copy", builds.SPHINX)
    copy.build()
    kernel = copy.folder / "build" / "doctrees" / "kernels" / "kernel.so"
    write(copy.folder, {str(kernel.relative_to(copy.folder)): "", "build/html/stale.html": ""})
    copy.build_clean()
    assert "reading sources... [100%] measuring" in (copy.folder / "build.log").read_text(encoding="utf-8")
    assert kernel.exists() and not (copy.folder / "build" / "html" / "stale.html").exists()


def test_a_build_that_fails_is_quoted(tmp_path: Path) -> None:
    copy = Copy(checkout(tmp_path / "checkout"), tmp_path / "copy")
    with pytest.raises(BenchError, match=r"(?s)-m sphinx .*loaded"):
        copy.build()


def test_a_made_up_guide_is_built_with_its_numbers(tmp_path: Path) -> None:
    scale.make(tmp_path, 3, 2)
    cost = scale.build(tmp_path)
    page = (tmp_path / "out" / "gallery" / "topic000" / "example_0002.html").read_text(encoding="utf-8")
    assert "Made-up chip 0" in page and "Made-up chip 1" in page and "not measured" not in page
    assert cost.cpu_s > 0 and cost.peak > 10e6


def test_a_build_smaller_than_the_process_that_starts_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "SCRIPTS", (2,))
    monkeypatch.setattr(scale, "RECORDS", (1,))
    costs = iter((Cost(2.0, 1.5, 1e12), Cost(2.0, 1.5, 1e3)))
    monkeypatch.setattr(scale, "build", lambda folder: next(costs))
    assert scale.growth(tmp_path / "one", 1) == {
        scale.kind(2, 1, what): (value,) for what, value in (("wall", 2.0), ("processor", 1.5), ("peak", 1e12))
    }
    assert (tmp_path / "one" / "2-1" / "gallery" / "topic000" / "example_0001.py").exists()
    with pytest.raises(BenchError, match="how large that was can't be told"):
        scale.growth(tmp_path / "two", 1)


def test_an_exponent_is_one_where_twice_the_size_costs_twice() -> None:
    assert scale.exponent(3.0, 12.0, 4) == pytest.approx(1)
    assert scale.exponent(1.0, 16.0, 4) == pytest.approx(2)
