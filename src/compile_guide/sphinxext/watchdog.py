"""Examples that end early, hang, or fail where nobody looks: each is an error of that example, and of the build."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sphinx.errors import SphinxError

from compile_guide._prerequisites import fault_of_examples

LIMIT_S = 300.0
"""Seconds that one block of an example may run while the site is rendered; then the build ends with status 1."""
ENDED = "the example ended itself before its last line"
FAILED: list[str] = []
"""Exceptions of threads, since they were last looked at."""


class GalleryError(SphinxError):
    """The gallery can't be made, in one line that says what to do."""

    category = "Gallery error"


def watch_examples() -> None:
    """Make it an error of its example when one exits, hangs, or has a thread that fails.

    ``sys.exit(0)`` and ``os._exit(0)`` would else end the build with status 0 and without pages; an exception in a
    thread is printed and forgotten. The first block to run looks for a compiler: most builds run none.
    """
    from sphinx_gallery import gen_rst

    threading.excepthook = _note
    run = gen_rst._exec_once.__call__
    if getattr(run, "watches", False):
        return

    def __call__(self: Any) -> None:  # the name is what sphinx-gallery cuts its own part of a traceback by
        if fault := fault_of_examples():
            raise SystemExit(f"compile_guide: {fault}")
        with _limited(), _no_exit(), _threads_joined():
            try:
                run(self)
            except SystemExit as error:
                raise RuntimeError(f"{ENDED} (exit status {error.code})") from error
        if FAILED:
            raise RuntimeError(f"a thread of the example ended with {FAILED.pop()}")

    __call__.watches = True  # type: ignore[attr-defined]
    gen_rst._exec_once.__call__ = __call__


@contextmanager
def _limited() -> Iterator[None]:
    """End the process, with a traceback on standard error, when the limit is over."""
    faulthandler.dump_traceback_later(LIMIT_S, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def _no_exit() -> Iterator[None]:
    """Let ``os._exit`` raise in this process; a child that was forked still ends by it."""
    leave, me = os._exit, os.getpid()

    def _exit(status: int) -> None:
        if os.getpid() != me:
            leave(status)
        raise RuntimeError(f"{ENDED} (exit status {status})")

    os._exit = _exit  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = leave


def _note(args: threading.ExceptHookArgs) -> None:
    FAILED.append(args.exc_type.__name__)
    threading.__excepthook__(args)


@contextmanager
def _threads_joined() -> Iterator[None]:
    """Give threads of the block a moment to fail, while it can still be said whose they are."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(0.5)  # one that a later block ends goes on


def check_threads() -> None:
    """Put the hook for threads back; raise a GalleryError when one has failed since its example ended."""
    threading.excepthook = threading.__excepthook__
    if FAILED:
        name, FAILED[:] = FAILED[0], []
        raise GalleryError(f"a thread that an example left behind ended with {name}: join it in the example")
