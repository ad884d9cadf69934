"""Whole programs of published packages on models with random weights, which are made here: nothing is downloaded.

Each function builds one side of a comparison and returns its step: ``compiled=False`` has MLX run everything as it is.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Step = Callable[[], Any]
VOCABULARY = {"cpu": 4096, "metal": 32_000, "cuda": 128_256}
SIZES = {
    "cpu": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 4},
    "metal": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 8, "num_attention_heads": 16},
    "cuda": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32},
}
"""What a model of the kind of Llama measures, by backend."""


TOKENS = {"cpu": 16, "metal": 32, "cuda": 64}
"""How many tokens are generated."""
BATCH = {"cpu": (1, 33), "metal": (2, 129), "cuda": (4, 257)}
"""Rows and tokens of a batch for fine-tuning."""


def backend() -> str:
    """Return ``cpu``, ``metal`` or ``cuda``."""
    import mlx.core as mx

    if mx.default_device() == mx.Device(mx.cpu):
        return "cpu"
    return "metal" if mx.metal.is_available() else "cuda"


@contextlib.contextmanager
def compiling(on: bool) -> Iterator[None]:
    """Switch compiling off where it isn't wanted, and on again afterwards."""
    import mlx.core as mx

    if not on:
        mx.disable_compile()
    try:
        yield
    finally:
        mx.enable_compile()


def language_model(size: str) -> Any:
    """Return a Llama of mlx-lm with random weights: of float32 on a processor, of bfloat16 on a GPU."""
    import mlx.core as mx
    from mlx_lm.models import llama

    heads = SIZES[size]["num_attention_heads"]
    facts = {
        "model_type": "llama",
        "rms_norm_eps": 1e-5,
        "vocab_size": VOCABULARY[size],
        "num_key_value_heads": heads // 4,
    }
    mx.random.seed(1)
    model = llama.Model(llama.ModelArgs(**facts, **SIZES[size]))
    model.set_dtype(mx.float32 if size == "cpu" else mx.bfloat16)
    mx.eval(model.parameters())
    return model


def generation(compiled: bool, **sampling: float) -> Step:
    """Return a step that generates tokens with mlx-lm, from the same seed each time, and returns them."""
    import mlx.core as mx
    from mlx_lm.generate import generate_step
    from mlx_lm.sample_utils import make_sampler

    size = backend()
    prompt = mx.random.randint(0, VOCABULARY[size], (32,), key=mx.random.key(2))
    model, sampler, tokens = language_model(size), make_sampler(**sampling), TOKENS[size]

    def step() -> Any:
        mx.random.seed(3)
        with compiling(compiled):
            return mx.array([token for token, _ in generate_step(prompt, model, max_tokens=tokens, sampler=sampler)])

    return step


class Batches:
    """Batches of one length for mlx-lm's trainer: random tokens, the same ones for each instance."""

    def __init__(self, size: str) -> None:
        import mlx.core as mx

        rows, tokens = BATCH[size]
        batch = np.random.default_rng(4).integers(0, VOCABULARY[size], (rows, tokens))
        self.batch = mx.array(batch), mx.array([[0, tokens - 1]] * rows)

    def __call__(self, **_options: object) -> Iterator[Any]:
        """Yield the batch again and again."""
        while True:
            yield self.batch


def fine_tuning(compiled: bool, accumulate: int = 1) -> Step:
    """Return a step of mlx-lm's LoRA training, the function that its trainer compiles, which returns the loss.

    The trainer keeps that function to itself. So it is taken when ``mx.compile`` gets it, in a run of few iterations.
    """
    import mlx.core as mx
    import mlx.optimizers
    from mlx_lm.tuner.trainer import TrainingArgs, train
    from mlx_lm.tuner.utils import linear_to_lora_layers

    from published_code.originals import KEPT, kept

    size = backend()
    model, optimizer = language_model(size), mlx.optimizers.Adam(1e-5)
    model.freeze()
    linear_to_lora_layers(model, len(model.layers), {"rank": 8, "scale": 20.0, "dropout": 0.0})
    optimizer.init(model.trainable_parameters())
    batches = Batches(size)
    counts = {"batch_size": 2, "iters": accumulate, "grad_accumulation_steps": accumulate, "steps_per_report": 10_000}
    with (
        tempfile.TemporaryDirectory() as folder,  # the trainer saves what it has trained
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        kept(),
        compiling(compiled),
    ):
        options = TrainingArgs(adapter_file=f"{folder}/adapters.safetensors", **counts)
        train(model, optimizer, [0], args=options, iterate_batches=batches)
    train_step = KEPT[-1].compiled

    def step() -> Any:
        gradients = None
        with compiling(compiled):
            for number in range(1, accumulate + 1):
                loss, _, gradients = train_step(batches.batch, gradients, number == accumulate)
                mx.eval(loss, gradients, model.trainable_parameters(), optimizer.state)
        return loss

    return step


def keras_fit(compiled: bool) -> Step:
    """Return a step that fits a Keras model for an epoch with the MLX backend, ``jit_compile`` on or off; it returns the loss."""
    os.environ["KERAS_BACKEND"] = "mlx"
    import keras
    import mlx.core as mx

    large = backend() != "cpu"
    width, batch, count = (1024, 512, 4096) if large else (64, 64, 512)
    keras.utils.set_random_seed(5)
    hidden = [keras.layers.Dense(width, activation="gelu") for _ in range(3)]
    model = keras.Sequential([keras.layers.Input((width,)), *hidden, keras.layers.Dropout(0.1), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=compiled)
    numbers = np.random.default_rng(6)
    x, y = numbers.normal(size=(count, width)).astype("float32"), numbers.integers(0, 10, count)

    def step() -> Any:
        return mx.array(model.fit(x, y, batch_size=batch, epochs=1, verbose=0, shuffle=False).history["loss"])

    return step


def optimizer_loop(compiled: bool, whole: bool = False) -> Step:
    """Return a step that trains a small network with Muon of mlx-optimizers ten times; it returns the last loss.

    The optimizer compiles a function of its own. With ``whole`` the training step is compiled as well.
    """
    import mlx.core as mx
    from mlx_optimizers import Muon

    nn: Any = importlib.import_module("mlx.nn")  # its stubs lack most of it
    width = 64 if backend() == "cpu" else 1024
    mx.random.seed(7)
    model = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 10))
    optimizer = Muon(learning_rate=0.02)
    optimizer.init(model.trainable_parameters())
    x, y = mx.random.normal((256, width)), mx.random.randint(0, 10, (256,))
    gradients = nn.value_and_grad(model, lambda: nn.losses.cross_entropy(model(x), y, reduction="mean"))
    state = [model.state, optimizer.state]
    mx.eval(state, x, y)

    def update() -> Any:
        loss, found = gradients()
        optimizer.update(model, found)
        return loss

    once = mx.compile(update, inputs=state, outputs=state) if whole else update

    def step() -> Any:
        with compiling(compiled):
            for _ in range(10):
                loss = once()
                mx.eval(loss, state)
        return loss

    return step


def _model_words(size: str) -> str:
    facts = SIZES[size]
    return f"{facts['num_hidden_layers']} layers, {facts['hidden_size']} wide, {VOCABULARY[size]} words"


@dataclass(frozen=True)
class Program:
    """A whole program: its packages, what it does, with the model and the batch by backend, and how a side of it is built."""

    name: str
    package: str
    what: str
    sizes: Callable[[str], str]
    side: Callable[[bool], Step]
    tolerance: float | None = None
    """How far the results may lie apart, relative to them; None for tokens, which are only counted."""
    large_only: bool = False
    """Whether it is left out on a processor, where its kernels would take minutes to build."""


def _tokens(size: str) -> str:
    return f"{_model_words(size)}; {TOKENS[size]} tokens after 32"


def _batch(size: str) -> str:
    return f"{_model_words(size)}; batches of {' × '.join(map(str, BATCH[size]))} tokens"


def _dense(size: str) -> str:
    return f"four layers, {64 if size == 'cpu' else 1024} wide"


PROGRAMS = (
    Program("program-greedy", "mlx-lm", "generation, greedy", _tokens, generation),
    Program("program-top-p", "mlx-lm", "generation, top-p 0.9", _tokens, partial(generation, temp=0.8, top_p=0.9)),
    Program("program-lora", "mlx-lm", "a step of LoRA training", _batch, fine_tuning, 0.05),
    Program("program-lora-four", "mlx-lm", "a step of LoRA training, gradients of four batches", _batch,
            partial(fine_tuning, accumulate=4), 0.05, large_only=True),
    Program("program-keras-fit", "keras-mlx", "Keras fits an epoch of eight batches", _dense, keras_fit, 0.05),
    Program("program-muon", "mlx-optimizers", "ten steps with Muon, the loop not compiled", _dense, optimizer_loop, 0.05),
    Program("program-muon-whole", "mlx-optimizers", "ten steps with Muon, the training step compiled", _dense,
            partial(optimizer_loop, whole=True), 0.05),
)  # fmt: skip
