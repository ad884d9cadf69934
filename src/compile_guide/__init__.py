"""MLX Compile Guide: measured examples and executed statements about ``mx.compile``."""

__version__ = "0.1.0"


class CompileGuideError(Exception):
    """What the user can mend: one line that says what is wrong and what to do. Anything else is a bug and a traceback."""
