"""
A limiter
=========

Bends loud samples back below one, smoothly.
"""

# sphinx_gallery_tags = ["speed"]
import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare


def limit(samples: mx.array) -> mx.array:
    return mx.tanh(1.5 * samples) / mx.tanh(mx.array(1.5))


samples = mx.random.normal((20_000,), key=mx.random.key(0))
assert mx.max(mx.abs(limit(samples))).item() < 1.2

# %%
# Each sample is read and written once.

limiter = compare("limiter", limit, mx.compile(limit), samples, bytes_moved=2 * samples.nbytes)
limiter

# %%
# What it gains
# -------------

figure, axes = plt.subplots()
axes.bar(["plain", "compiled"], [limiter.baseline_s, limiter.candidate_s])
axes.set(ylabel="seconds a call", title="Time of one call of the limiter, plain and compiled")
