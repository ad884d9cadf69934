"""Train a small network with two optimizers of mlx-optimizers, in a plain loop as their documentation shows it."""

import mlx.core as mx
import mlx.nn as nn
import mlx_optimizers


def train(optimizer):
    """Train for five steps and print the loss."""
    mx.random.seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 24), nn.GELU(), nn.Linear(24, 4))
    x, y = mx.random.normal((64, 16)), mx.random.randint(0, 4, (64,))
    gradients = nn.value_and_grad(model, lambda: nn.losses.cross_entropy(model(x), y, reduction="mean"))
    for _ in range(5):
        loss, found = gradients()
        optimizer.update(model, found)
        mx.eval(model.parameters(), optimizer.state, loss)
    print(type(optimizer).__name__, loss.item())


train(mlx_optimizers.Muon(learning_rate=0.02))
train(mlx_optimizers.Kron(learning_rate=1e-3))
