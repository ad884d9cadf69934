"""The child process of the error catalogue: ``python -m claims._errors CODE``."""

from __future__ import annotations

import json
import sys

from compile_guide.ledger.claims import scrub


def child(code: str) -> None:
    """Warm MLX up with one operation, run the code, print ``[type, message]`` as the last line."""
    import mlx.core as mx

    mx.eval(mx.array(1.0) + 1.0)
    raised = ["", ""]
    try:
        exec(code, {"__name__": "__snippet__"})
    except Exception as error:  # any type is an observation
        raised = [type(error).__name__, scrub(str(error))]
    print("\n" + json.dumps(raised), flush=True)


if __name__ == "__main__":
    child(sys.argv[1])
