"""What the checks need from this machine: a browser, Java, and three packages from npm; installed where that is allowed.

``python -m browser.needs .nox/browser`` sees that all is there, and makes the environment that downloads run in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from browser.chromium import find_chromium

HERE = Path(__file__).parent
LOCKED = ("package.json", "package-lock.json")
PLAIN = [HERE.parents[1] / "requirements" / f"{name}.txt" for name in ("mlx-default", "record")]


class MissingError(Exception):
    """Something isn't here and can't be installed by itself; the message, one line, says how."""


def install_missing() -> None:
    """Install Debian's packages for what is missing.

    Raises:
        MissingError: this is no Debian, or the user may not install.
    """
    there = {"chromium": find_chromium(), "default-jre-headless": shutil.which("java"), "npm": shutil.which("npm")}
    missing = [package for package, found in there.items() if not found]
    if not missing:
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise MissingError(
            f"install {', '.join(missing)} (Debian: `apt-get install {' '.join(missing)}`) and run this again"
        )
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], env=env, check=True)
    subprocess.run(["apt-get", "install", "-qy", "--no-install-recommends", *missing], env=env, check=True)


def plain_python(cache: Path) -> Path:
    """Return the Python of an environment as a reader makes it for a download: MLX and matplotlib, nothing of ours."""
    folder, wanted = cache / "plain", "".join(lock.read_text(encoding="utf-8") for lock in PLAIN)
    done, python = folder / "installed.txt", folder / "bin" / "python"
    if not done.is_file() or done.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        locks = [argument for lock in PLAIN for argument in ("-r", str(lock))]
        options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps", "--require-hashes"]
        subprocess.run([str(python), "-m", "pip", "install", *options, "--only-binary", ":all:", *locks], check=True)
        done.write_text(wanted, encoding="utf-8")
    return python


def node_modules(cache: Path) -> Path:
    """Return the folder of the locked npm packages below ``cache``, installed there if the lock is new."""
    wanted = {name: (HERE / name).read_bytes() for name in LOCKED}
    done = cache / "installed"
    if not done.is_file() or any((cache / name).read_bytes() != content for name, content in wanted.items()):
        done.unlink(missing_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
        for name, content in wanted.items():
            (cache / name).write_bytes(content)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
        subprocess.run(["npm", "ci", *quiet], cwd=cache, check=True)
        done.touch()
    return cache / "node_modules"


def main(cache: str) -> int:
    """Install what is missing; return the exit status."""
    try:
        install_missing()
        node_modules(Path(cache))
        plain_python(Path(cache))
    except MissingError as problem:
        print(problem, file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as failed:  # it has said why
        print(f"`{' '.join(failed.cmd[:3])} …` failed: see above", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
