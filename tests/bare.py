"""Run a program with less than usual: ``python bare.py [no-network] [no-override] -- ARGUMENTS OF PYTHON``.

``no-network``: in a network of its own, in which there is nothing, where the system lets us make one; everywhere, Python
refuses to look up a name or to connect. ``no-override``: root is bound by the modes of files, as everybody else is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from pathlib import Path

REFUSES = """import sys
def refuse(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname") or (event == "socket.connect" and type(args[1]) is tuple):
        raise OSError("there is no network here")
sys.addaudithook(refuse)
"""
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
DROP, OVERRIDE = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE: a new program of root's doesn't get it any more


def main(argv: list[str]) -> None:
    """Give up what is named before ``--``, then become Python with the rest."""
    end = argv.index("--")
    with contextlib.suppress(AttributeError):  # macOS has neither call
        libc = ctypes.CDLL(None)
        if "no-override" in argv[:end] and os.geteuid() == 0:
            libc.prctl(DROP, OVERRIDE)
        if "no-network" in argv[:end]:
            libc.unshare(NEW_NETWORK)
    if "no-network" in argv[:end]:
        folder = Path(tempfile.mkdtemp(prefix="no-network-"))
        (folder / "sitecustomize.py").write_text(REFUSES, encoding="utf-8")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.execv(sys.executable, [sys.executable, *argv[end + 1 :]])


if __name__ == "__main__":
    main(sys.argv[1:])
