"""Optimizers and evaluation: what of an optimizer is followed, and what evaluating the loss leaves undone."""

from __future__ import annotations

from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import graph, outcome
from ._sources import GUIDE
from .training import Setup, setup


def _compiled(mx: Any, made: Setup) -> Any:
    return mx.compile(made.step, inputs=made.state, outputs=made.state)


@claim(
    "compile-again-after-freeze",
    "A step compiled again after model.freeze() leaves what is frozen alone.",
    source="a common expectation",
    answer="Not while a wrapper from before is alive, because both share its trace: drop that one first, or compile "
    "another function object.",
)
def _(mx: Any) -> Seen:
    made = setup(mx)
    before = _compiled(mx, made)
    before(*made.batch)
    made.model.freeze(keys=["bias"])
    frozen = outcome(made.model.bias.tolist)
    beside = outcome(lambda: _bias_after(mx, made))
    del before
    gone = outcome(lambda: _bias_after(mx, made))
    words = f"frozen bias {frozen}, after a step beside the old wrapper {beside}"
    return Seen(frozen == beside, f"{words}; after one more, with the old wrapper gone, {gone}")


def _bias_after(mx: Any, made: Setup) -> Any:
    """Compile the step again, take it, and return the model's bias."""
    _compiled(mx, made)(*made.batch)
    return made.model.bias.tolist()


@claim(
    "optimizer-keys-any-order",
    "Saved optimizer state may be put back in any order of its keys.",
    source="a common expectation",
    answer="No: the compiled step goes by position, so Adam's two averages change places without a word; put arrays "
    "back key by key into the dictionaries that are there.",
)
def _(mx: Any) -> Seen:
    plain, fast = setup(mx, "Adam"), setup(mx, "Adam")
    compiled = _compiled(mx, fast)
    for made, step in ((plain, plain.step), (fast, compiled)):
        step(*made.batch)
        kept = made.optimizer.state["weight"]
        made.optimizer.state["weight"] = {name: kept[name] for name in sorted(kept, reverse=True)}
        step(*made.batch)
    same = [round(a - b, 4) for a, b in zip(plain.weights(), fast.weights(), strict=True)] == [0, 0]
    return Seen(same, f"weights after the next step: plain {plain.weights()}, compiled {fast.weights()}")


@claim(
    "optimizer-state-assigned",
    "optimizer.state = loaded takes effect in a compiled step.",
    source="a common expectation",
    answer="No: the step keeps working on the dictionary that was captured; use optimizer.state.update(loaded) with "
    "the same keys in the same order.",
)
def _(mx: Any) -> Seen:
    made = setup(mx, "Adam")
    step = _compiled(mx, made)
    step(*made.batch)
    made.optimizer.state = {**made.optimizer.state, "step": mx.array(100, mx.uint64)}
    step(*made.batch)
    seen = made.optimizer.state["step"].item()
    return Seen(seen == 101, f"step number 100 assigned, after one more step: {seen}")


@claim(
    "momentum-followed",
    "optimizer.momentum = 0 takes effect in a compiled step.",
    source="a common expectation, as a new learning rate does",
    answer="No: momentum is a Python number and was frozen at the trace; the learning rate is an array in the state.",
)
def _(mx: Any) -> Seen:
    weights = {}
    for name in ("plain", "compiled"):
        made = setup(mx, rate=0.125)
        made.optimizer.momentum = 0.5
        made.optimizer.init(made.model.trainable_parameters())
        step = _compiled(mx, made) if name == "compiled" else made.step
        step(*made.batch)
        made.optimizer.momentum = 0.0
        step(*made.batch)
        weights[name] = made.weights()
    words = ", ".join(f"{name} {values}" for name, values in weights.items())
    return Seen(weights["plain"] == weights["compiled"], f"weights after momentum 0.5, then 0: {words}")


@claim(
    "gradients-inputs-alone",
    "Loss and gradients change nothing, so compiling them needs inputs=model.state alone.",
    source="a common expectation",
    answer="No: nn.value_and_grad puts the parameters back into the model, as placeholders of the trace; name "
    "model.state in outputs= as well.",
)
def _(mx: Any) -> Seen:
    shown = {}
    for names in (("inputs",), ("inputs", "outputs")):
        made = setup(mx)
        mx.compile(made.loss_and_grad, **dict.fromkeys(names, made.model.state))(*made.batch)
        shown[" and ".join(names)] = outcome(made.weights)
    words = "; ".join(f"{names}: {seen}" for names, seen in shown.items())
    return Seen(shown["inputs"] == "[1.0, 2.0]", f"the weights show with {words}")


@claim(
    "loss-evaluates-step",
    "mx.eval(loss) evaluates the whole training step.",
    source="a common expectation",
    answer="No: the update of the weights comes after the loss and stays lazy, compiled or not, until the next step "
    "needs it; write mx.eval(loss, state).",
)
def _(mx: Any) -> Seen:
    left = {name: _lazy(mx, name, "weight") for name in ("plain", "compiled")}
    words = ", ".join(f"{name} {counts}" for name, counts in left.items())
    return Seen(not any(map(sum, left.values())), f"operations behind the weights after steps 1 to 4: {words}")


@claim(
    "loss-alone-grows",
    "If only the loss is evaluated, something grows with every step, in a compiled step as well.",
    source=GUIDE,
    answer="Yes: what the loss does not depend on, such as the optimizer's step number, is one operation deeper after "
    "each step.",
)
def _(mx: Any) -> Seen:
    left = {name: _lazy(mx, name, "step") for name in ("plain", "compiled")}
    words = ", ".join(f"{name} {counts}" for name, counts in left.items())
    grows = all(counts[0] < counts[1] < counts[2] < counts[3] for counts in left.values())
    return Seen(grows, f"operations behind the step number after steps 1 to 4: {words}")


def _lazy(mx: Any, kind: str, what: str) -> list[int]:
    """Take four steps, plain or compiled, evaluating the loss alone; count operations behind part of the state."""
    made = setup(mx)
    step = _compiled(mx, made) if kind == "compiled" else made.step
    counts = []
    for _ in range(4):
        mx.eval(step(*made.batch))
        kept = made.model.weight if what == "weight" else made.optimizer.state["step"]
        counts.append(len(graph(mx, kept)))
    return counts
