"""
A gain
======

Makes a sound louder. This script lies directly in the gallery.
"""

import mlx.core as mx

from compile_guide.timing import compare


def louder(samples: mx.array) -> mx.array:
    return mx.minimum(samples * 1.25 + 0.01, 1.0)


compare("gain", louder, mx.compile(louder), mx.ones((20_000,)))
