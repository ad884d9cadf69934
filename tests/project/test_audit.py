"""The audit of the locks: a vulnerability is named, and whatever keeps the database from answering is a failure."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from guide import ROOT

REQUIREMENTS = ROOT / "requirements"
HASHES = "".join(f" \\\n    --hash=sha256:{digit * 64}" for digit in "ab")
LOCKS = {
    "docs": f"one==1.0{HASHES}\ntwo==2.0 ; python_full_version < '3.12'{HASHES}\ntwo==2.1 ; sys_platform == 'plan9'{HASHES}\n",
    "lint": f"one==1.0{HASHES}\nthree==3.0{HASHES}\n",
}
FLAW = {
    "id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "summary": "Reads what it shouldn't.", "published": "2026-11-01T00:00:00Z",
    "affected": [{"package": {"name": "two", "ecosystem": "PyPI"},
                  "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.2"}]}]}],
}  # fmt: skip
Query = tuple[str, str]
Answer = tuple[int, Any]


class Database:
    """A stand-in for the database: what it was asked, and what it says."""

    def __init__(self) -> None:
        self.asked: list[Query] = []
        self.answer: Callable[[Query], Answer] = lambda query: (200, {})
        database = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                database.asked.append((query["package"]["name"], query["version"]))
                status, body = database.answer(database.asked[-1])
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/query"


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    """The script beside locks of three packages, one of them in two versions for other machines than this."""
    shutil.copy(REQUIREMENTS / "audit.py", tmp_path)
    for name, text in LOCKS.items():
        (tmp_path / f"{name}.txt").write_text(f"# Made by …\n{text}", encoding="utf-8")
    return tmp_path


def audit(folder: Path, url: str, *options: str) -> tuple[int, str, str]:
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, str(folder / "audit.py"), "--osv-url", url, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout, done.stderr


def test_every_version_is_looked_up_whatever_machine_it_is_for(locks: Path, database: Database) -> None:
    assert audit(locks, database.url) == (0, "audit: no known vulnerabilities in 4 versions\n", "")
    assert sorted(database.asked) == [("one", "1.0"), ("three", "3.0"), ("two", "2.0"), ("two", "2.1")]


def test_a_known_vulnerability_is_named_and_fails(locks: Path, database: Database) -> None:
    database.answer = lambda query: (200, {"vulns": [FLAW]} if query == ("two", "2.0") else {})
    status, out, err = audit(locks, database.url)
    assert (status, err) == (1, "")
    assert out == (
        "two 2.0: PYSEC-2026-1, CVE-2026-1, mended in 2.2. Reads what it shouldn't.\n"
        "audit: 1 known vulnerability in 4 versions\n"
    )


def test_one_that_was_looked_into_can_be_left_out(locks: Path, database: Database) -> None:
    database.answer = lambda query: (200, {"vulns": [FLAW]} if query == ("two", "2.0") else {})
    assert audit(locks, database.url, "--ignore-vuln", "CVE-2026-1")[0] == 0


ANSWERS: dict[str, Answer] = {
    "an error of the server": (500, {}),
    "what is no JSON": (200, b"<html>Sign in to this network</html>"),
    "another form": (200, {"error": "too many requests"}),
    "a later version of the form": (200, {"vulns": [{**FLAW, "schema_version": "2.0.0"}]}),
    "an entry that says nothing": (200, {"vulns": [{"id": "PYSEC-2026-2"}]}),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_tells_nothing_fails_in_one_line(answer: Answer, locks: Path, database: Database) -> None:
    database.answer = lambda query: answer if query == ("three", "3.0") else (200, {})
    status, out, err = audit(locks, database.url)
    assert (status, out) == (2, "")
    assert err.startswith("audit: of 4 versions in the locks not all could be looked up: ") and err.count("\n") == 1


def test_a_database_out_of_reach_fails_in_one_line(locks: Path) -> None:
    with socket.socket() as deaf:  # bound and never listening: where a listener was closed, some systems take one more
        deaf.bind(("127.0.0.1", 0))
        status, out, err = audit(locks, f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/query")
    assert (status, out) == (2, "")
    assert err.startswith("audit: of 4 versions in the locks not all could be looked up: ") and err.count("\n") == 1
    assert "127.0.0.1" in err and len(err) < 410


def test_the_locks_of_this_project_are_read_whole() -> None:
    spec = importlib.util.spec_from_file_location("audit", REQUIREMENTS / "audit.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["audit"] = importlib.util.module_from_spec(spec)  # a dataclass looks its own module up
    spec.loader.exec_module(module)
    found = module.pins()
    text = "".join(path.read_text(encoding="utf-8") for path in REQUIREMENTS.glob("*.txt"))
    assert {f"{pin.name}=={pin.version}" for pin in found} == set(re.findall(r"^[^\s#;]+==[^\s;]+", text, re.MULTILINE))
    assert all(re.fullmatch(r"\S+==\S+( --hash=sha256:\w{64})+", str(pin)) for pin in found)
    for one in module.rounds(found):
        assert len({pin.name for pin in one}) == len(one)
