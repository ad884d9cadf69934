"""The sources of the statements, one spelling of each for all topics."""

DOCS = "MLX documentation, Compilation"
API = "MLX API reference, mlx.core.compile"
NOTES = "curated compile notes, widely copied"
METALFAISS = "MetalFaiss notes"
GUIDE = "this guide; MLX's pages do not say"


def issue(number: int) -> str:
    """Return how a thread of MLX's own repository is cited."""
    return f"question on GitHub, ml-explore/mlx#{number}"
