"""Training: compiling a step that changes a model and its optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, optional, outcome, raised
from ._sources import DOCS, GUIDE, NOTES, issue

TRAINING = f"{DOCS}, Compiling Training Graphs"


@dataclass
class Setup:
    """A linear model of known weights, its optimizer, one batch, and the plain step."""

    model: Any
    optimizer: Any
    batch: tuple[Any, Any]
    loss_and_grad: Any
    step: Counted

    @property
    def state(self) -> list[Any]:
        """What a compiled step has to capture."""
        return [self.model.state, self.optimizer.state]

    def weights(self) -> list[float]:
        """The model's two weights, to five digits."""
        return [round(w, 5) for w in self.model.weight.flatten().tolist()]


def setup(mx: Any, optimizer: str = "SGD", rate: Any = 0.5, ready: bool = True) -> Setup:
    """Make a model with weights 1 and 2 and a step; ``ready``: with an initialized optimizer."""
    nn, optimizers = optional("mlx.nn"), optional("mlx.optimizers")

    model = nn.Linear(2, 1)
    model.update({"weight": mx.array([[1.0, 2.0]]), "bias": mx.array([0.5])})
    opt = getattr(optimizers, optimizer)(learning_rate=rate)
    if ready:
        opt.init(model.trainable_parameters())
    loss_and_grad = nn.value_and_grad(model, lambda x, y: nn.losses.mse_loss(model(x), y))

    def step(x: Any, y: Any) -> Any:
        loss, gradients = loss_and_grad(x, y)
        opt.update(model, gradients)
        return loss

    batch = (mx.array([[1.0, 2.0], [3.0, 4.0]]) / 8, mx.zeros((2, 1)))
    mx.eval(model.parameters(), opt.state, *batch)
    return Setup(model, opt, batch, loss_and_grad, Counted(step))


def _compiled(mx: Any, made: Setup) -> Callable[..., Any]:
    """Compile the step with everything captured that it changes."""
    step: Callable[..., Any] = mx.compile(made.step, inputs=made.state, outputs=made.state)
    return step


def _steps(mx: Any, made: Setup, step: Callable[..., Any], count: int) -> list[int]:
    """Take steps; return how often the step's body has run after each."""
    runs = []
    for _ in range(count):
        step(*made.batch)
        mx.eval(made.state)
        runs.append(made.step.runs)
    return runs


@claim(
    "step-equals-plain",
    "A compiled training step trains like the plain one.",
    source=TRAINING,
    answer="Yes: after five AdamW steps the weights are equal.",
)
def _(mx: Any) -> Seen:
    plain, fast = setup(mx, "AdamW"), setup(mx, "AdamW")
    _steps(mx, plain, plain.step, 5)
    _steps(mx, fast, _compiled(mx, fast), 5)
    apart = mx.abs(plain.model.weight - fast.model.weight).max().item()
    holds = apart <= 1e-6 and fast.step.runs == 1 and fast.weights() != [1, 2]
    return Seen(holds, f"five steps, {fast.step.runs} trace(s), weights {fast.weights()}, apart by {apart:.1g}")


@claim(
    "step-traced-once",
    "A compiled training step is traced once.",
    source=f"{TRAINING} (implied)",
    answer="Only if optimizer.init(model.trainable_parameters()) ran first: otherwise the first step "
    "creates the "
    "optimizer's state, which is another tree, and the second step traces again.",
)
def _(mx: Any) -> Seen:
    made = setup(mx, "AdamW", ready=False)
    runs = _steps(mx, made, _compiled(mx, made), 3)
    return Seen(runs == [1, 1, 1], f"without optimizer.init, traces after steps 1, 2, 3: {runs}")


@claim(
    "optimizer-init-saves-trace",
    "optimizer.init(model.trainable_parameters()) before the first step saves a trace.",
    source=GUIDE,
    answer="Yes: one trace instead of two.",
)
def _(mx: Any) -> Seen:
    runs = {}
    for ready in (False, True):
        made = setup(mx, "AdamW", ready=ready)
        runs[ready] = _steps(mx, made, _compiled(mx, made), 3)[-1]
    return Seen(runs[True] < runs[False], f"three steps: {runs[False]} trace(s) without init, {runs[True]} with it")


@claim(
    "learning-rate-frozen",
    "A learning rate that is changed after compiling has no effect.",
    source="a common worry",
    answer="It has: the learning rate is an array in the optimizer's state, which is captured, so a new one "
    "counts at the next step.",
)
def _(mx: Any) -> Seen:
    made = setup(mx, rate=0.0)
    step = _compiled(mx, made)
    _steps(mx, made, step, 1)
    before = made.weights()
    made.optimizer.learning_rate = 0.5
    runs = _steps(mx, made, step, 1)
    return Seen(made.weights() == before, f"rate 0: {before}; rate 0.5: {made.weights()}; {runs[-1]} trace(s)")


@claim(
    "schedule-works",
    "A learning-rate schedule works in a compiled step.",
    source="a common worry",
    answer="Yes: the step number is in the optimizer's state.",
)
def _(mx: Any) -> Seen:
    made = setup(mx, rate=lambda step: mx.where(step < 2, 0.0, 0.5))
    step = _compiled(mx, made)
    rates = []
    for _ in range(4):
        _steps(mx, made, step, 1)
        rates.append(made.optimizer.learning_rate.item())
    holds = rates == [0, 0, 0.5, 0.5] and made.step.runs == 1
    return Seen(holds, f"0 for two steps, then 0.5: rates {rates}, {made.step.runs} trace(s)")


@claim(
    "notes-model-apply",
    "model.apply(params, x) computes the model's output with given parameters.",
    source=NOTES,
    answer="No: apply maps a function over the model's own parameters; use model.update(params) and then model(x).",
)
def _(mx: Any) -> Seen:
    made = setup(mx)
    message = raised(lambda: made.model.apply(made.model.parameters(), made.batch[0]))
    return Seen(not message, message or "no exception")


@claim(
    "notes-optimizer-update-returns",
    "params = optimizer.update(params, grads) gives the new parameters.",
    source=NOTES,
    answer="No: update works in place and returns None; apply_gradients(grads, params) returns them.",
)
def _(mx: Any) -> Seen:
    made = setup(mx)
    _, gradients = made.loss_and_grad(*made.batch)
    returned = made.optimizer.update(made.model, gradients)
    applied = made.optimizer.apply_gradients(gradients, made.model.parameters())
    return Seen(returned is not None, f"update returns {returned}; apply_gradients returns keys {sorted(applied)}")


@claim(
    "functional-step-works",
    "A step of arguments and return values alone needs no captured state.",
    source=f"the repair of what the {NOTES} show",
    answer="Yes: model.update(params) inside, apply_gradients(grads, params) returned; the model then holds "
    "placeholders, so put the parameters back at the end.",
)
def _(mx: Any) -> Seen:
    made, plain = setup(mx), setup(mx)

    def step(parameters: Any, x: Any, y: Any) -> Any:
        made.model.update(parameters)
        _, gradients = made.loss_and_grad(x, y)
        return made.optimizer.apply_gradients(gradients, parameters)

    counted = Counted(step)
    compiled = mx.compile(counted)
    parameters = made.model.parameters()
    for _ in range(3):
        parameters = compiled(parameters, *made.batch)
    left = raised(lambda: mx.eval(made.model.weight))
    made.model.update(parameters)
    _steps(mx, plain, plain.step, 3)
    holds = raised(made.weights) == "" and made.weights() == plain.weights() and counted.runs == 1
    words = f"{counted.runs} trace(s), weights {outcome(made.weights)}, plain {plain.weights()}"
    return Seen(holds, f"{words}; the model before its parameters are put back: {left or 'fine'}")


@claim(
    "last-batch-breaks-adam",
    "A smaller last batch leaves placeholders in a model that a compiled step trains with Adam.",
    source=f"{issue(1160)} (on 0.10 to 0.14)",
    answer="No longer: it costs a trace.",
)
def _(mx: Any) -> Seen:
    made = setup(mx, "Adam", ready=False)
    step = _compiled(mx, made)
    x, y = made.batch
    message = raised(lambda: [mx.eval(step(*batch), made.state) for batch in ((x, y), (x, y), (x[:1], y[:1]))])
    return Seen(bool(message), message or f"no exception, {made.step.runs} traces")
