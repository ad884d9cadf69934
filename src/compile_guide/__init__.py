"""MLX Compile Guide: measured examples and executed statements about ``mx.compile``."""

import importlib
from typing import Any

__version__ = "0.1.0"


class CompileGuideError(Exception):
    """What the user can mend: one line that says what is wrong and what to do. Anything else is a bug and a traceback."""


class _Core:
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("mlx.core"), name)


mx: Any = _Core()
"""``mlx.core``, imported when something of it is asked for: records are read, and pages made, without it."""
