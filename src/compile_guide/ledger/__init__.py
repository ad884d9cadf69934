"""Claims about MLX and their checks: load them, run them here and on older releases, compare the verdicts."""
