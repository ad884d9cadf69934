"""The pages made of tables: messages, shapeless support, what is compiled already, verdicts by version."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from conftest import make_record
from site_builds import Site, build, put_records, write

from _ext.turns import Turn, find_turns
from claims import _errors as errors
from claims import _history as history
from compile_guide.records.schema import Message, Ready, Record, Support, Tables

EVIL = "<script>alert(1)</script> `x`_ {claim}`y`"
TABLES = Tables(
    support=(
        Support("mx.exp", "mx.exp(x)", "right", "right", ("(6, 4) then (3, 4): right",)),
        Support("x[0]", "x[0]", "silently wrong", "ends the process", (f"(6, 4) then (3, 4): {EVIL}",)),
    ),
    ready=(
        Ready("gelu", "function", True, True, ()),
        Ready("glu", "function", False, None, ()),
        Ready("GELU", "layer", True, None, ("gelu", "gelu_approx")),
    ),
    messages=(Message(errors.ENTRIES[0].id, "ValueError", f"[eval] Not here. {EVIL}", True),),
)


def page(folder: Path, directive: str, tables: Tables = TABLES) -> Site:
    write(folder, {"docs/index.md": f"# Page\n\n```{{{directive}}}\n```\n"})
    put_records(folder, make_record(tables=tables))
    return build(folder, guide=True)


def test_support_table_says_what_each_function_does(tmp_path: Path) -> None:
    site = page(tmp_path, "shapeless-support")
    assert "mx.exp(x) ✓ right ✓ right x[0] ✗ silently wrong ✗ ends the process" in site.text()
    assert ": 2 functions" in site.text() and site.warnings == []


def test_what_was_seen_is_shown_as_text(tmp_path: Path) -> None:
    for directive in ("shapeless-support", "error-catalogue"):
        site = page(tmp_path / directive, directive)
        assert "<script>alert(1)" not in site.page() and EVIL in site.text()


def test_table_of_compiled_functions(tmp_path: Path) -> None:
    text = page(tmp_path, "already-compiled").text()
    assert "has 1 compiled functions in mlx.nn" in text
    assert "nn.gelu yes" in text and "nn.GELU gelu, gelu_approx" in text
    assert "Functions of mlx.nn that are not compiled: glu." in text


def test_error_catalogue_is_keyed_by_the_message(tmp_path: Path) -> None:
    site = page(tmp_path, "error-catalogue")
    entry = errors.ENTRIES[0]
    assert f'id="error-{entry.id}"' in site.page()
    assert "ValueError: [eval] Not here" in site.text() and entry.why in site.text()
    assert "✓ runs" in site.text()


def other_machine() -> Record:
    machine = msgspec.structs.replace(make_record().machine, chip="EPYC")
    return make_record(id="cpu-epyc-mlx-0-32-4", machine=machine, created="2026-01-02T00:00:00Z", tables=TABLES)


def test_a_message_that_the_shown_machine_did_not_raise_is_another_ones(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# Page\n\n```{error-catalogue}\n```\n"})
    silent = Tables(messages=(Message(errors.ENTRIES[0].id, "", "", True),))
    newest, other = make_record(tables=silent), other_machine()
    put_records(tmp_path, newest, other)
    text = build(tmp_path, guide=True).text()
    assert "ValueError: [eval] Not here" in text
    assert "Raised on EPYC ; the machine shown raised nothing here." in text


def test_a_fix_that_does_not_run_is_said_to(tmp_path: Path) -> None:
    broken = Tables(messages=(Message(errors.ENTRIES[0].id, "ValueError", "no", False),))
    assert "✗ does not run" in page(tmp_path, "error-catalogue", broken).text()


def test_pages_without_observations_show_none(tmp_path: Path) -> None:
    assert "functions" not in page(tmp_path, "shapeless-support", Tables()).text()
    assert errors.ENTRIES[0].title in page(tmp_path / "b", "error-catalogue", Tables()).text()


def versions(*verdicts: tuple[str, bool | None]) -> history.History:
    made = [history.Version(mlx, "3.11", "ok", {"a-claim": (holds, f"saw {mlx}")}) for mlx, holds in verdicts]
    gone = history.Version("0.22.0", "3.11", "not installed: no wheel", {})
    return history.History("linux-x86_64", (*made, gone))


@pytest.mark.parametrize(("before", "same"), [(True, False), (False, True)])
def test_versions_say_in_words_what_changed(tmp_path: Path, before: bool, same: bool) -> None:
    write(tmp_path, {"docs/index.md": "# Page\n\n```{version-history}\n```\n"})
    put_records(tmp_path)
    history.save(versions(("0.21.1", before), ("0.30.0", False)), tmp_path / "docs" / "history.json")
    text = build(tmp_path, guide=True).text()
    assert ("✗ does not hold , on each release tried: a-claim ." in text) is same
    assert "1 claims on 2 releases of MLX, linux-x86_64" in text
    assert "0.22.0 3.11 not installed: no wheel" in text  # what could not be run is not hidden
    if not same:
        assert "a-claim ✗ does not hold 0.21.1: “saw 0.21.1”. 0.30.0: “saw 0.30.0”." in text


def test_a_missing_history_is_a_warning_with_a_place(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# Page\n\n```{version-history}\n```\n"})
    put_records(tmp_path)
    (warning,) = build(tmp_path, guide=True).warnings
    assert warning.startswith("index.md:3: WARNING:") and "[compile_guide.history]" in warning


def test_a_changed_history_changes_the_page(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# Page\n\n```{version-history}\n```\n"})
    put_records(tmp_path)
    file = tmp_path / "docs" / "history.json"
    history.save(versions(("0.21.1", True), ("0.30.0", True)), file)
    assert "does not hold" not in build(tmp_path, guide=True).text()
    history.save(versions(("0.21.1", True), ("0.30.0", False)), file)
    assert "does not hold" in build(tmp_path, guide=True).text()


OLD = history.Version("0.21.1", "3.11.7", "ok", {"a": (True, "yes"), "b": (None, "no mx.b")})
NEW = history.Version("0.32.4", "3.11.7", "ok", {"a": (False, "no"), "b": (True, "yes")})
BROKEN = history.Version("0.25.2", "3.11.7", "not installed: no wheel", {})


def test_turns_skip_a_release_that_could_not_be_run() -> None:
    assert find_turns(history.History("linux-x86_64", (OLD, BROKEN, NEW))) == (
        Turn("a", "0.32.4", "0.21.1", False, "yes", "no"),
        Turn("b", "0.32.4", "0.21.1", True, "no mx.b", "yes"),
    )


def test_turns_reach_over_releases_that_were_asked_other_claims() -> None:
    between = history.Version("0.30.0", "3.11.7", "ok", {"b": (None, "no mx.b")})
    found = {
        turn.claim: (turn.last, turn.release)
        for turn in find_turns(history.History("linux-x86_64", (OLD, between, NEW)))
    }
    assert found == {"a": ("0.21.1", "0.32.4"), "b": ("0.30.0", "0.32.4")}
