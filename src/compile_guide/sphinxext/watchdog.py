"""Each example runs in a process of its own: it starts from the same world whatever ran before it, and it fails alone.

sphinx-gallery runs scripts one after the other in Sphinx's process, or in a few workers. There, what a script leaves behind
reaches the next one, and a script that exits, hangs or crashes ends the build. Here its ``generate_file_rst`` is replaced
by a function that does the same in a new process. A list of what to restore after each script would never be complete.

On Linux the process is a copy of Sphinx's (some milliseconds), so all that ``conf.py`` has set up is there. A copy has none
of the threads of its original, neither MLX's nor Python's, and on macOS it can't reach Metal: where there are such threads,
and on macOS, a new Python is started for scripts that use MLX or this package, and others run as without this module.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import functools
import gc
import importlib
import multiprocessing
import os
import pickle
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sphinx.errors import ConfigError, SphinxError
from sphinx.util import logging

from compile_guide._prerequisites import fault_of_examples
from compile_guide._process import FOLDER, GROUP, Finished, end_processes, private_folder
from compile_guide.examples import measures

LIMIT_S, THREADS_S = 600.0, 10.0
"""Seconds that an example may run while the site is rendered, and that its threads may run after its last line."""
ENDED = "the example ended itself before its last line"
DIE_WITH_PARENT = 1
"""Linux's PR_SET_PDEATHSIG, see prctl(2)."""
LOGGER = logging.getLogger(__name__)
Job = tuple[str, Path, Path, dict[str, Any]]
"""What ``generate_file_rst`` gets: a script's name, the folders of its page and of itself, sphinx-gallery's settings."""


@contextlib.contextmanager
def examples_apart(kernels: Path, env: Mapping[str, str | None], world: type[World] | None = None) -> Iterator[None]:
    """Let sphinx-gallery run each script in a process of its own, with these environment variables; None unsets one.

    ``kernels`` is where MLX keeps what it builds: each example has a temporary folder that leads there.
    """
    from sphinx_gallery import gen_rst

    kernels.mkdir(parents=True, exist_ok=True)
    plain, variables = _page_maker(), {**os.environ, **env}
    with private_folder() as folder:
        known = {name: value for name, value in variables.items() if value is not None}
        gen_rst.generate_file_rst = (world or World)(folder, kernels.resolve(), known, LIMIT_S, THREADS_S)
        try:
            yield
        finally:
            gen_rst.generate_file_rst = plain


@functools.cache
def _page_maker() -> Any:
    """Return sphinx-gallery's own function: asked for before that is replaced, and in its workers, where it never is."""
    from sphinx_gallery.gen_rst import generate_file_rst

    return generate_file_rst


@dataclass(frozen=True)
class World:
    """Makes a script's page in a new process; sphinx-gallery's workers get a copy of this."""

    folder: Path
    kernels: Path
    env: dict[str, str]
    limit_s: float
    threads_s: float

    def __call__(self, *job: Any) -> Any:
        """Return what sphinx-gallery's own function would; its arguments are a :data:`Job`."""
        ours = measures(script := Path(job[2], job[0]))
        apart = ours or _uses_mlx(script) or _can_be_copied()  # others may need what can't be given to a new Python
        if not (apart and self.runs(*job)):
            return _page_maker()(*job)
        if ours and (fault := fault_of_examples()):
            raise SystemExit(f"compile_guide: {fault}")
        answer = self.answer(job)
        if isinstance(answer, str):
            return _failed(answer, *job)
        if isinstance(answer, Exception):
            raise answer
        for message in answer[1]:
            LOGGER.handle(message)
        return answer[0]

    def runs(self, *job: Any) -> bool:
        """Return whether sphinx-gallery would run a script: its page isn't there, or was made from another text."""
        from sphinx_gallery.gen_rst import executable_script
        from sphinx_gallery.utils import get_md5sum

        name, target_dir, src_dir, conf = job
        source, noted = os.path.normpath(Path(src_dir, name)), Path(target_dir, f"{name}.md5")
        new = not noted.exists() or noted.read_bytes() != get_md5sum(source, "t").encode()
        return bool(executable_script(source, conf) and (new or conf["run_stale_examples"]))

    def answer(self, job: Any) -> Any:
        """Run the script and end whatever is left of it; return page and messages, an error, or why there is neither."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        (place / "tmp").mkdir()
        (place / "tmp" / "mlx").symlink_to(self.kernels)
        _load_matplotlib(job[3])
        reader, writer = multiprocessing.Pipe(duplex=False)
        with reader, writer:
            process = _start(self, place, job, writer)
            writer.close()
            try:
                late, answer = not reader.poll(self.limit_s), None
                if not late:
                    with contextlib.suppress(EOFError):  # it has ended without a word
                        answer = reader.recv()
            finally:
                process.kill()  # it may have no group yet
                end_processes(process.pid or 0, place)
                process.join()
                shutil.rmtree(place, ignore_errors=True)
        if answer is None and (late or process.exitcode):
            return Finished(process.exitcode or 0, late, "", self.limit_s).reason
        return answer or f"{ENDED} (exit status 0)"


def _failed(words: str, name: str, target_dir: Path, src_dir: Path, conf: dict[str, Any]) -> Any:
    """Make the page of a script that failed as a whole, without running it: sphinx-gallery counts it, and warns of it."""
    from sphinx_gallery.gen_rst import handle_exception

    Path(target_dir, f"{name}.md5").unlink(missing_ok=True)  # else its page of an earlier build would do
    page = _page_maker()(name, target_dir, src_dir, {**conf, "plot_gallery": False})
    try:
        raise RuntimeError(words)
    except RuntimeError as error:  # where a setting asks for it, this is raised again
        handle_exception((RuntimeError, error, None), os.path.normpath(Path(src_dir, name)), page[3], conf)
    return page


def _load_matplotlib(conf: dict[str, Any]) -> None:
    """Load what sphinx-gallery would load for each script: once, before the process is copied."""
    if "matplotlib" in conf["reset_modules"]:
        importlib.import_module("matplotlib.pyplot")


def _uses_mlx(script: Path) -> bool:
    return re.search(r"\bmlx\b", script.read_text(encoding="utf-8", errors="replace")) is not None


def _can_be_copied() -> bool:
    """Return whether a copy of this process is whole: on Linux, without threads of MLX's or Python's."""
    return sys.platform == "linux" and "mlx.core" not in sys.modules and threading.active_count() == 1


def _start(world: World, place: Path, job: Job, writer: Connection) -> BaseProcess:
    """Start a process that runs a script; a new Python is not given the settings that can't be pickled."""
    if copied := _can_be_copied():
        if multiprocessing.parent_process():  # one of sphinx-gallery's workers
            _end_with(os.getppid())
    else:
        job = (*job[:3], {name: value for name, value in job[3].items() if _travels(value)})
        if lost := {"image_scrapers", "reset_modules", "reset_argv"} - job[3].keys():
            raise ConfigError(
                f"sphinx_gallery_conf[{min(lost)!r}]: examples run in new processes here: name functions as strings"
            )
    method = "fork" if copied else "spawn" if sys.platform == "darwin" else "forkserver"
    context: Any = multiprocessing.get_context(method)
    process: BaseProcess = context.Process(target=_run, args=(world, place, copied and os.getpid(), job, writer))
    process.start()
    return process


def _end_with(parent: int) -> None:
    """Have Linux end this process when its parent ends."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _travels(value: object) -> bool:
    """Return whether another Python can be given a setting; a sort key that ``conf.py`` defines stays, and isn't missed."""
    try:
        return bool(pickle.dumps(value))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False


# In the example's process ----------------------------------------------------------------------------------------------


def _run(world: World, place: Path, parent: int, job: Job, writer: Connection) -> None:
    """Make a script's page here, report it, and end this process; a copy of ``parent`` ends with it."""
    if parent:
        _end_with(parent)
    gc.freeze()  # sphinx-gallery collects garbage before each script: in a copied heap that would cost more than the script
    try:
        os.setsid()
        (place / GROUP).write_text(str(os.getpid()), encoding="ascii")
        os.setsid = os.setpgrp = lambda: None  # all copies end with the group
        os.register_at_fork(after_in_child=writer.close)  # when this process has ended, nobody can report
        writer.send(_made(world, place, job, writer))
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(0)


def _made(world: World, place: Path, job: Job, writer: Connection) -> Any:
    """Return page and messages of a script, why it failed as a whole, or an error that ends the build."""
    failures, messages = list[threading.ExceptHookArgs](), logging.LogCollector()
    try:
        _enter({**world.env, "TMPDIR": str(place / "tmp"), FOLDER: str(place)}, *job)
        _watch_blocks()
        threading.excepthook = failures.append
        with messages.collect():
            page = _page_maker()(*job)
        _end_threads(world.threads_s, writer)
    except SphinxError as error:
        return error
    except BaseException:  # the script has broken what sphinx-gallery needs, such as sys.stdout
        return traceback.format_exc()
    if failures:
        threading.__excepthook__(failures[0])
        return f"a thread of the example ended with {failures[0].exc_type.__name__}"
    logging.convert_serializable(messages.logs)
    return page, messages.logs


def _enter(env: dict[str, str], name: str, _: Path, src_dir: Path, conf: dict[str, Any]) -> None:
    """Make this process what a script finds in the recorder too; set the seeds of one that uses MLX, for equal pages."""
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # Python remembers the folder that it found first
    source = os.path.normpath(Path(src_dir, name))
    sys.path.insert(0, str(Path(source).parent))
    vars(builtins)["__file__"] = source  # by sphinx-gallery's promise it is none of the globals
    _load_matplotlib(conf)
    if _uses_mlx(Path(source)):
        random.seed(0)
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed(0)
        importlib.import_module("mlx.core").random.seed(0)


def _watch_blocks() -> None:
    """Let a block fail that exits, and end copies of this process that a block has made and not ended."""
    from sphinx_gallery import gen_rst

    run, me = gen_rst._exec_once.__call__, os.getpid()

    def __call__(self: Any) -> None:
        try:
            run(self)
        except BaseException as error:
            if isinstance(error, Exception):
                raise
            how = f"exit status {error.code}" if isinstance(error, SystemExit) else type(error).__name__
            raise RuntimeError(f"{ENDED} ({how})").with_traceback(error.__traceback__) from None
        finally:
            if os.getpid() != me:
                os._exit(0)

    gen_rst._exec_once.__call__ = __call__


def _end_threads(limit_s: float, writer: Connection) -> None:
    """Wait for threads as Python does at its end, which ends idle pools; report one that goes on, and end this process."""

    def late() -> None:
        writer.send(f"a thread of the example still ran {limit_s:.0f} s after its last line")
        os._exit(0)

    timer = threading.Timer(limit_s, late)
    timer.daemon = True
    timer.start()
    threading._shutdown()  # type: ignore[attr-defined]
    timer.cancel()
