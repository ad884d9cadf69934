"""MLX Compile Guide: measured examples and executed statements about ``mx.compile``."""

__version__ = "0.1.0"
