"""
A fade
======

Lets a sound grow from silence.
"""

# sphinx_gallery_tags = ["speed"]
import mlx.core as mx

from compile_guide.timing import compare


def fade_in(samples: mx.array) -> mx.array:
    ramp = mx.arange(samples.size) / samples.size
    return samples * ramp * ramp


samples = mx.ones((20_000,))
assert fade_in(samples)[0].item() == 0

# %%
# The ramp is computed anew at each call, compiled or not.

compare("fade", fade_in, mx.compile(fade_in), samples)
