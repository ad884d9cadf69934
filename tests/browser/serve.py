"""The built site over http on this machine, compressed as a web server would send it."""

from __future__ import annotations

import functools
import gzip
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TEXT = {".html", ".css", ".js", ".svg", ".json", ".txt", ".xml"}


def pages_of(root: Path) -> list[str]:
    """Return the addresses of all pages below ``root``, relative to it."""
    found = (path.relative_to(root) for path in root.rglob("*.html"))
    return sorted(path.as_posix() for path in found if path.parts[0] not in ("_static", "_sources", "_downloads"))


@functools.cache
def compressed(file: Path) -> bytes:
    """Return a file as gzip at the level that servers use."""
    return gzip.compress(file.read_bytes(), 6, mtime=0)


class Handler(SimpleHTTPRequestHandler):
    """Files with gzip where that pays, without a line of log for each."""

    protocol_version = "HTTP/1.1"  # which keeps a connection for the next file, as web servers do

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: whatever goes wrong is a finding."""

    def do_GET(self) -> None:
        """Send a file, compressed if it is text."""
        file = Path(self.translate_path(self.path))
        file = file / "index.html" if file.is_dir() else file
        if file.suffix not in TEXT or not file.is_file():
            super().do_GET()
            return
        body = compressed(file)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(file.name) + "; charset=utf-8")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Cache-Control", "max-age=600")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """A server that doesn't mind a browser that has gone on before it had all."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a connection that was closed; report anything else."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serve ``root`` on a free port of this machine alone while the block runs, and give its address."""
    server = Server(("127.0.0.1", 0), functools.partial(Handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)  # seconds to hear of its end
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
