"""Training: what of a model and its optimizer is followed, and what is frozen."""

from __future__ import annotations

from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import optional, outcome, raised
from ._sources import GUIDE, issue
from .training import TRAINING, setup


@claim(
    "dropout-needs-random-state",
    "Dropout in a compiled function needs mx.random.state among the captured inputs and outputs.",
    source=TRAINING,
    answer="Yes: without it every call drops the same values.",
)
def _(mx: Any) -> Seen:
    without, captured = _masks(mx), _masks(mx, inputs=mx.random.state, outputs=mx.random.state)
    return Seen(
        (without, captured) == ("1", "3"),
        f"different masks in three calls: {without} without, {captured} with it",
    )


@claim(
    "random-state-inputs-alone",
    "mx.random.state in inputs= alone is enough.",
    source="a common expectation",
    answer="No: the generator is left with a placeholder, and the next random number anywhere raises.",
)
def _(mx: Any) -> Seen:
    shown = _masks(mx, inputs=mx.random.state)
    return Seen(shown == "3", f"different masks in three calls: {shown}")


@claim(
    "random-state-outputs-alone",
    "mx.random.state in outputs= alone is enough.",
    source="a common expectation",
    answer="No: each call starts from the state of the trace, so the masks repeat.",
)
def _(mx: Any) -> Seen:
    shown = _masks(mx, outputs=mx.random.state)
    return Seen(shown == "3", f"different masks in three calls: {shown}")


@claim(
    "functional-step-dropout",
    "A step that gets its parameters as arguments and captures nothing may hold Dropout.",
    source="what a step without captured state seems to promise",
    answer="No: it drops the same units at each call; pass a key in, or capture mx.random.state.",
)
def _(mx: Any) -> Seen:
    made, nn = setup(mx), optional("mlx.nn")
    layer, ones = nn.Dropout(0.5), mx.ones((64, 2))

    def step(parameters: Any) -> Any:
        made.model.update(parameters)
        return made.model(layer(ones))

    compiled, parameters = mx.compile(step), made.model.parameters()
    outputs = {tuple(compiled(parameters).flatten().tolist()) for _ in range(3)}
    return Seen(len(outputs) == 3, f"three calls with the same parameters give {len(outputs)} different output(s)")


def _masks(mx: Any, **captured: Any) -> str:
    """Return how many different dropout masks three calls of a compiled function give, or the exception."""
    nn = optional("mlx.nn")

    mx.random.seed(0)
    layer = nn.Dropout(0.5)
    compiled = mx.compile(lambda x: layer(x), **captured)
    return outcome(lambda: len({tuple(compiled(mx.ones((64,))).tolist()) for _ in range(3)}))


@claim(
    "model-is-compiled-with-weights",
    "mx.compile(model) follows the model's weights.",
    source="a common expectation",
    answer="No: they are constants of the trace; compile a function with inputs=model.state.",
)
def _(mx: Any) -> Seen:
    return _follows(mx, lambda model: {})


@claim(
    "capture-model-state",
    "inputs=model.state makes a compiled forward pass follow the model's weights.",
    source=TRAINING,
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    return _follows(mx, lambda model: {"inputs": model.state})


@claim(
    "capture-model-parameters",
    "inputs=model.parameters() captures a model as well as model.state.",
    source="a common expectation",
    answer="No: parameters() returns a new dictionary, the model's own arrays stay uncaptured, and the call raises.",
)
def _(mx: Any) -> Seen:
    return _follows(mx, lambda model: {"inputs": model.parameters()})


def _follows(mx: Any, capture: Any) -> Seen:
    """Compile a forward pass, set all weights to zero, and see whether the second output is zero."""
    model = setup(mx).model
    compiled = mx.compile(model if not capture(model) else lambda x: model(x), **capture(model))
    x = mx.ones((1, 2))
    first = outcome(lambda: compiled(x).item())
    if first != "3.5":
        return Seen(False, f"output: {first}")
    model.update({"weight": mx.zeros((1, 2)), "bias": mx.zeros((1,))})
    second = outcome(lambda: compiled(x).item())
    return Seen(second == "0.0", f"output {first}, with zero weights {second}")


@claim(
    "optimizer-uncaptured",
    "A compiled step may leave the optimizer's state out of inputs= and outputs=.",
    source="a common expectation",
    answer="Not without harm: Adam's moments and step number stay where the trace found them.",
)
def _(mx: Any) -> Seen:
    made = setup(mx, "Adam")
    state = [made.model.state]
    step = mx.compile(made.step, inputs=state, outputs=state)
    for _ in range(3):
        step(*made.batch)
    shown = outcome(lambda: made.optimizer.state["step"].item())
    return Seen(shown == "3", f"after three steps the optimizer's step number is {shown}")


@claim(
    "model-uncaptured",
    "A compiled step may leave the model out of inputs= and outputs=.",
    source="a common expectation",
    answer="No: the weights are placeholders afterwards, and looking at them raises.",
)
def _(mx: Any) -> Seen:
    made = setup(mx)
    state = [made.optimizer.state]
    mx.compile(made.step, inputs=state, outputs=state)(*made.batch)
    shown = outcome(made.weights)
    return Seen(shown.startswith("["), f"the weights show {shown}")


@claim(
    "eval-mode-followed",
    "model.eval() after compiling switches dropout off in the compiled function.",
    source="a common expectation",
    answer="No: the mode is a Python value of the trace; compile one function for training and one for evaluation.",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")

    layer = nn.Dropout(0.5)
    compiled = mx.compile(lambda x: layer(x), inputs=layer.state)
    x = mx.ones((64,))
    dropped = [int((compiled(x) == 0).sum().item())]
    layer.eval()
    dropped.append(int((compiled(x) == 0).sum().item()))
    return Seen(
        dropped[0] > 0 == dropped[1],
        f"values dropped: {_some(dropped[0])} in training, {_some(dropped[1])} after eval()",
    )


def _some(count: int) -> str:
    return "some" if count else "none"


@claim(
    "freeze-followed",
    "model.freeze() after compiling stops a compiled step from training the model.",
    source="a common expectation",
    answer="Not for batch sizes that it has seen: which parameters are trainable was decided at the trace. A new size is "
    "traced again and leaves them alone, so one step does both. Freeze first, then compile.",
)
def _(mx: Any) -> Seen:
    made = setup(mx)
    step = mx.compile(made.step, inputs=made.state, outputs=made.state)
    step(*made.batch)
    made.model.freeze(keys="weight")
    seen = [_moves(made, step, rows) for rows in (2, 1, 2)]
    words = "after freeze() the weights move: {} for a size seen before, {} for a new one, {} for the old one".format(
        *seen
    )
    return Seen(seen == ["no", "no", "no"], words)


def _moves(made: Any, step: Any, rows: int) -> str:
    """Take a step on so many rows; say whether the weights change: "yes", "no", or what is raised."""
    before = made.weights()
    error = raised(lambda: step(*(array[:rows] for array in made.batch)))
    return error or ("no" if made.weights() == before else "yes")


def _unfrozen(mx: Any, *, init: bool) -> tuple[Any, list[str], str]:
    """Compile a step with frozen weights and unfreeze them; return the model, whether they move, and what they are."""
    made = setup(mx, "SGD", ready=False)
    made.model.freeze(keys="weight")
    made.optimizer.init(made.model.trainable_parameters())
    step = mx.compile(made.step, inputs=made.state, outputs=made.state)
    step(*made.batch)
    made.model.unfreeze()
    if init:
        made.optimizer.init(made.model.trainable_parameters())
    moves = [_moves(made, step, rows) for rows in (2, 1)]
    return made, moves, outcome(made.weights)


@claim(
    "unfreeze-followed",
    "model.unfreeze() after compiling lets a compiled step train what was frozen.",
    source="a common expectation",
    answer="No: for batch sizes that it has seen nothing changes, and a new size raises KeyError, because the optimizer has no "
    "state for these parameters, and leaves placeholders in the model. Call optimizer.init first.",
)
def _(mx: Any) -> Seen:
    _, moves, weights = _unfrozen(mx, init=False)
    words = f"the weights move: {moves[0]} for a size seen before; for a new size {moves[1]}; then they show {weights}"
    return Seen(moves == ["yes", "yes"], words)


@claim(
    "unfreeze-with-init",
    "After model.unfreeze() and optimizer.init(model.trainable_parameters()), the compiled step that runs already trains all.",
    source=GUIDE,
    answer="Yes: the optimizer's new arrays make the next call trace again.",
)
def _(mx: Any) -> Seen:
    made, moves, _ = _unfrozen(mx, init=True)
    words = f"the weights move: {moves[0]} for a size seen before, {moves[1]} for a new one; {made.step.runs} traces"
    return Seen(moves == ["yes", "yes"], words)


@claim(
    "batch-norm-statistics",
    "BatchNorm's running mean is updated by a compiled function.",
    source=GUIDE,
    answer="Yes, if the layer's state is in inputs= and outputs=; in inputs= alone the statistics become placeholders.",
)
def _(mx: Any) -> Seen:
    shown = {names: _running_mean(mx, names.split(" and ")) for names in ("inputs and outputs", "inputs")}
    holds = shown["inputs and outputs"] == "[0.2, 0.3]"
    return Seen(holds, "; ".join(f"{names}: {values}" for names, values in shown.items()))


def _same_mask(mx: Any, layer: Any, *arguments: Any, compiled: bool) -> str:
    """Say whether a layer that drops values drops the same ones in the forward and in the backward pass."""

    def both(x: Any, *more: Any) -> Any:
        (_, y), gradient = mx.value_and_grad(lambda x: (lambda y: (mx.sum(y), y))(layer(x, *more)))(x)
        return y, gradient

    state = mx.random.state
    y, gradient = (mx.compile(both, inputs=state, outputs=state) if compiled else both)(mx.ones((64,)), *arguments)
    return "the same" if mx.array_equal(y == 0, gradient == 0).item() else "another"


@claim(
    "checkpoint-dropout",
    "A checkpointed layer may hold Dropout: the backward pass computes the forward pass again.",
    source="a habit from PyTorch, whose checkpoint puts the generator back",
    answer="No: it draws another mask, compiled or not, so the gradient belongs to no forward pass. Keep Dropout outside of the "
    "checkpoint, or draw from a key that comes as an argument.",
)
def _(mx: Any) -> Seen:
    nn, utils = optional("mlx.nn"), optional("mlx.nn.utils")
    mx.random.seed(0)
    layers = {"plain": nn.Dropout(0.5), "checkpointed": utils.checkpoint(nn.Dropout(0.5))}
    seen = {
        f"{name}, {'compiled' if compiled else 'not compiled'}": _same_mask(mx, layer, compiled=compiled)
        for name, layer in layers.items()
        for compiled in (False, True)
    }
    words = "; ".join(f"{name}: {mask} mask" for name, mask in seen.items())
    return Seen(set(seen.values()) == {"the same"}, f"in the backward pass, {words}")


@claim(
    "checkpoint-dropout-key",
    "A checkpointed function that gets the key of its mask as an argument draws one mask for both passes.",
    source=GUIDE,
    answer="Yes, with mx.stop_gradient around the mask; without it the backward pass raises, because random bits have no "
    "gradient.",
)
def _(mx: Any) -> Seen:
    def draw(x: Any, key: Any) -> Any:
        return mx.random.bernoulli(0.5, x.shape, key=key)

    layers = {
        "with stop_gradient": lambda x, key: x * mx.stop_gradient(draw(x, key)) * 2,
        "without": lambda x, key: x * draw(x, key) * 2,
    }
    key, seen = mx.random.key(0), {}
    for name, layer in layers.items():
        seen[name] = [
            outcome(lambda c=c, f=layer: _same_mask(mx, mx.checkpoint(f), key, compiled=c))  # type: ignore[misc]
            for c in (False, True)
        ]
    words = "; ".join(f"{name}: {' | '.join(dict.fromkeys(texts))}" for name, texts in seen.items())
    return Seen(set(seen["with stop_gradient"]) == {"'the same'"}, words)


@claim(
    "checkpoint-batch-norm",
    "A checkpointed BatchNorm updates its statistics once a step.",
    source="a common expectation",
    answer="No: twice, once in each pass, so they follow the batches faster than its momentum says.",
)
def _(mx: Any) -> Seen:
    nn, utils = optional("mlx.nn"), optional("mlx.nn.utils")
    x, seen = mx.array([[1.0, 2.0], [3.0, 4.0]]), {}
    for name in ("plain", "checkpointed"):
        layer = nn.BatchNorm(2)
        call = layer if name == "plain" else utils.checkpoint(layer)
        step = nn.value_and_grad(layer, lambda x, call=call: mx.sum(mx.square(call(x))))
        mx.eval(mx.compile(step, inputs=layer.state, outputs=layer.state)(x), layer.state)
        seen[name] = [round(value, 5) for value in layer.running_mean.tolist()]
    words = ", ".join(f"{name} {mean}" for name, mean in seen.items())
    return Seen(seen["plain"] == seen["checkpointed"], f"running means after one compiled step: {words}")


def _running_mean(mx: Any, captured: list[str]) -> str:
    """Call a compiled BatchNorm with its state captured; return its running mean or the exception."""
    layer = optional("mlx.nn").BatchNorm(2)
    compiled = mx.compile(lambda x: layer(x), **dict.fromkeys(captured, layer.state))
    compiled(mx.array([[1.0, 2.0], [3.0, 4.0]]))
    return outcome(lambda: [round(v, 5) for v in layer.running_mean.tolist()])


@claim(
    "gradients-alone",
    "Compiling only loss and gradients, without capturing the model, trains as well.",
    source="a common expectation",
    answer="No: the weights are constants of the trace, so the loss and the gradients never change.",
)
def _(mx: Any) -> Seen:
    made = setup(mx)
    compiled = mx.compile(made.loss_and_grad)
    losses = []
    for _ in range(3):
        loss, gradients = compiled(*made.batch)
        losses.append(round(loss.item(), 5))
        made.optimizer.update(made.model, gradients)
    return Seen(losses[2] < losses[1] < losses[0], f"losses of three steps: {losses}")


@claim(
    "loss-item-inside",
    "loss.item() may be used inside a compiled step.",
    source="a common expectation",
    answer="No: it raises; return the loss and look at it outside.",
)
def _(mx: Any) -> Seen:
    made = setup(mx)
    compiled = mx.compile(lambda x, y: made.step(x, y).item(), inputs=made.state, outputs=made.state)
    message = raised(lambda: compiled(*made.batch))
    return Seen(not message, message or "no exception")


@claim(
    "clip-gradients",
    "Gradient clipping works in a compiled step.",
    source=GUIDE,
    answer="Yes: the norm is an array, so nothing has to be looked at while tracing.",
)
def _(mx: Any) -> Seen:
    optimizers = optional("mlx.optimizers")

    def clipped(made: Any) -> Any:
        def step(x: Any, y: Any) -> Any:
            _, gradients = made.loss_and_grad(x, y)
            gradients, norm = optimizers.clip_grad_norm(gradients, 0.5)
            made.optimizer.update(made.model, gradients)
            return norm

        return step

    plain, fast = setup(mx), setup(mx)
    clipped(plain)(*plain.batch)
    step = mx.compile(clipped(fast), inputs=fast.state, outputs=fast.state)
    message = raised(lambda: step(*fast.batch))
    same = not message and fast.weights() == plain.weights() != [1, 2]
    return Seen(same, message or f"weights plain {plain.weights()}, compiled {fast.weights()}")


@claim(
    "last-batch-retraces",
    "A last batch that is smaller compiles the step again.",
    source=f"{issue(4464)}, on batches of many lengths",
    answer="Yes, once: it is another shape; drop it, pad it, or accept one more trace.",
)
def _(mx: Any) -> Seen:
    made = setup(mx)
    step = mx.compile(made.step, inputs=made.state, outputs=made.state)
    x, y = made.batch
    runs = []
    for batch in ((x, y), (x, y), (x[:1], y[:1]), (x, y), (x[:1], y[:1])):
        step(*batch)
        runs.append(made.step.runs)
    return Seen(runs == [1, 1, 2, 2, 2], f"traces after full, full, small, full, small batch: {runs}")


@claim(
    "wrong-batch-breaks-model",
    "After an exception in a compiled step, training can go on with the next batch.",
    source="a common expectation",
    answer="No: an exception while tracing leaves placeholders in the model; a snapshot put back with "
    "model.update repairs it.",
)
def _(mx: Any) -> Seen:
    tree_map = optional("mlx.utils").tree_map

    made = setup(mx)
    step = mx.compile(made.step, inputs=made.state, outputs=made.state)
    step(*made.batch)
    snapshot = [tree_map(lambda a: a, tree) for tree in (made.model.parameters(), made.optimizer.state)]
    error = raised(lambda: step(mx.ones((2, 3)), made.batch[1]))
    broken = raised(lambda: mx.eval(step(*made.batch)))
    made.model.update(snapshot[0])
    made.optimizer.state.update(snapshot[1])
    repaired = raised(lambda: mx.eval(step(*made.batch), made.state))
    return Seen(
        bool(error) and not broken,
        f"wrong batch: {error} Next batch: {broken or 'fine.'} After model.update(snapshot): {repaired or 'fine'}",
    )


def _sampler(mx: Any, inside: bool) -> str:
    """Raise in a compiled sampler, or before it, for a bad argument; then draw, and say what comes of it."""

    def check(temperature: float) -> None:
        if temperature <= 0:
            raise ValueError("a temperature is positive")

    def body(logits: Any, temperature: float) -> Any:
        if inside:
            check(temperature)
        return mx.random.categorical(logits / temperature)

    compiled = mx.compile(body, inputs=mx.random.state, outputs=mx.random.state)

    def sample(logits: Any, temperature: float) -> Any:
        if not inside:
            check(temperature)
        return compiled(logits, temperature)

    logits = mx.zeros((4,))
    mx.eval(sample(logits, 1.0))
    raised(lambda: sample(logits, -1.0))
    return raised(lambda: mx.eval(sample(logits, 1.0))) or "draws"


@claim(
    "sampler-checks-inside",
    "A compiled sampler with mx.random.state captured may check its arguments in its body and raise.",
    source="a common expectation",
    answer="No: after one exception every draw of the process raises until a new seed is set; check outside.",
)
def _(mx: Any) -> Seen:
    inside, outside = _sampler(mx, True), None
    mx.random.seed(0)
    outside = _sampler(mx, False)
    return Seen(inside == "draws", f"the next call, checked inside: {inside.split('.')[0]}; outside: {outside}")
