"""For each claim on traces, state, training, transformations and shapeless: an MLX that turns its check.

The values are the lines that ``twisted_mx`` runs.
"""

from __future__ import annotations

REAL = "real = mx.compile\n"
FORGET = REAL + (
    "def fresh(f, k):\n    return lambda *a, **n: real(lambda *x, **y: f(*x, **y), **k)(*a, **n)\n"
    "mx.compile = lambda f, *_, **k: fresh(f, k)"
)
"""Compiles anew at each call."""
OPTIONS = "mx.compile = lambda f, inputs=None, outputs=None, shapeless=False: "
SHAPEFUL = REAL + OPTIONS + "real(f, inputs, outputs)"
LOOSE = REAL + OPTIONS + "real(f, inputs, outputs, True)"
UNCAPTURED = REAL + OPTIONS + "real(f, shapeless=shapeless)"
REFUSE = "mx.compile = lambda f, *_, **__: raising()"
MEMO = "seen = {}\nmx.compile = lambda f, **_: lambda *a, **n: seen[f] if f in seen else seen.setdefault(f, f(*a, **n))"
MEMO_BY_CODE = (
    "seen = {}\n"
    "mx.compile = lambda f, **_: lambda *a: (\n"
    "    seen[f.__code__] if f.__code__ in seen else seen.setdefault(f.__code__, f(*a)))"
)
EXACT_KEY = """
def key(v):
    if isinstance(v, mx.array):
        return v.shape
    inside = [key(i) for i in v] if isinstance(v, (list, tuple)) else v
    return type(v).__name__, inside

def keyed(f):
    seen = {}
    return lambda *a: seen[str(key(a))] if str(key(a)) in seen else seen.setdefault(str(key(a)), f(*a))

mx.compile = lambda f, **_: keyed(f)
"""
COMPILES_EVERYTHING = """
def switch():
    from claims._observing import Counted
    Counted.__call__ = lambda self: None

mx.enable_compile = switch
"""
LEAVE_ONE_KERNEL = "left = []\nmx.compile = lambda f, **_: lambda *a: (left or left.append(_leave_kernel()), f(*a))[1]"
MODEL_APPLY = "import mlx.nn as nn\nnn.Module.apply = lambda self, parameters, x: x"
NEVER_FROZEN = "import mlx.nn as nn\nnn.Module.freeze = lambda self, **_: self"
NO_CHECKPOINT = "import mlx.core\nmlx.core.checkpoint = lambda fun: fun"
UPDATE_RETURNS = "import mlx.optimizers as optim\noptim.Optimizer.update = lambda self, model, gradients: model"
KEEP = "kept = {}\nmx.export_function = lambda file, f, *a: kept.update(f=f)\n"
LIVE_EXPORT = (
    "kept = {}\n"
    "mx.export_function = lambda file, f, *a: (kept.update(f=f), f(*a))\n"
    "mx.import_function = lambda file: lambda *a: (kept['f'](*a),)"
)
"""An exported function is the live one."""
ONE_MESSAGE = "import mlx.nn as nn\nnn.average_gradients = lambda tree: {'a': mx.distributed.all_sum(tree['a'])}"
SUM_ONCE = (
    "sums = {}\nsend = mx.distributed.all_sum\nmx.distributed.all_sum = lambda x: sums.setdefault(id(x), send(x))"
)
RAISE_LATER = """
def once(f):
    calls = []

    def call(x):
        calls.append(x)
        return f(x) if len(calls) == 1 else raising()()

    return call

mx.compile = lambda f, **_: once(f) if f.__name__ == "call" else f
"""

TWISTS: dict[str, str] = {
    # arguments
    "numpy-scalar-argument": "eager()",
    "numpy-float64-argument": REFUSE,
    "numpy-array-argument": "eager()",
    "complex-argument": "eager()",
    "enum-argument": "eager()",
    "custom-object-argument": "eager()",
    "container-arguments": "wrong()",
    "method-decorator": "eager()",
    "bound-method": "eager()",
    "keeps-name": "eager()",
    "toggle-affects-compiled": "eager()",
    "environment-disables": "memo()",
    "environment-zero-enables": "memo()",
    "enable-overrides-environment": "eager()",
    "toggle-times-nothing": COMPILES_EVERYTHING,
    "wrapping-run-freezes-random": "eager()",
    "module-argument": "eager()",
    "dictionary-types-argument": "eager()",
    "named-tuple-argument": "mx.compile = lambda f, **_: lambda value: f(tuple(value))",
    "large-integer-argument": "eager()",
    # caches
    "temporary-beside-live-wrapper": "eager()",
    "dead-wrapper-flushes": "memo()",
    "wrappers-share-traces": "eager()",
    "lambda-in-loop-retraces": MEMO_BY_CODE,
    "lambda-in-loop-leaks": "memo()",
    "traces-never-evicted": "eager()",
    "kernel-built-at-eval": "leave_kernel_each_call()",
    "shape-reuses-kernel": FORGET,
    "dtype-builds-kernel": FORGET,
    "layout-builds-kernel": LEAVE_ONE_KERNEL,
    "functions-share-kernels": "leave_kernel_each_call()",
    "lambda-in-loop-one-kernel": "leave_kernel_each_call()",
    "python-floats-build-kernels": "leave_kernel_each_call()",
    "constants-in-kernel": "leave_kernel_each_call()",
    "arrays-keep-one-trace": "eager()",
    "closed-array-memory": "eager()",
    "bound-method-traces": MEMO_BY_CODE,
    "broadcast-builds-kernel": LEAVE_ONE_KERNEL,
    "no-argument-raise": REFUSE,
    # collectives
    "collective-compiles": "wrong()",
    "collective-shapeless": "eager()",
    "collective-exports": "mx.export_function = lambda *_: None",
    "collective-gradient-max": "mx.grad = lambda f: lambda x: x",
    "collective-gradient-sum": "mx.grad = lambda f: lambda x: 0 * x + 3",
    "collective-vmap-gather": "mx.vmap = lambda f: lambda x: mx.zeros((2, 6))",
    "average-gradients-mixed": ONE_MESSAGE,
    "collectives-merged": SUM_ONCE,
    "compiled-beside-plain": "eager()",
    "collective-unused": "mx.compile = lambda f: lambda x: mx.distributed.all_sum(f(x))",
    "collective-one-process": "mx.distributed.all_sum = lambda x: x + 1",
    # exporting
    "export-state-followed": LIVE_EXPORT,
    "export-draws-differ": LIVE_EXPORT,
    "export-leaves-state": "mx.export_function = lambda *_: None\nmx.import_function = lambda file: None",
    "export-list-argument": KEEP + "mx.import_function = lambda file: lambda *a: (kept['f'](list(a)),)",
    "export-number-argument": LIVE_EXPORT + "\nmx.import_function = lambda file: lambda x: (kept['f'](x, 2.0),)",
    # leaks
    "leaked-state-crashes": "crash()",
    "returning-state-works": "eager()",
    "returned-arrays-work": "memo()",
    "exception-breaks-generator": "eager()",
    "outputs-state-works": "eager()",
    "outputs-list-grows": "eager()",
    # models
    "activation-swap-followed": "eager()",
    "layer-swap-followed": "eager()",
    "layer-setting-followed": "eager()",
    "quantize-followed": "memo()",
    "compiled-layer-assigned": "eager()",
    "compiled-layer-followed": "eager()",
    # processes
    "spawned-worker-computes": "wrong()",
    "forkserver-worker-computes": "wrong()",
    # purity
    "global-number-updates": "eager()",
    "mutable-default-updates": "eager()",
    "clock-updates": "eager()",
    "environment-updates": "eager()",
    "non-array-returns-update": "eager()",
    "random-draws-differ": "eager()",
    "random-key-argument": "eager()",
    "closed-array-is-constant": "eager()",
    "closed-array-first-work": "memo()",
    "closed-array-stale-by-shape": "memo()",
    "closed-array-as-input": "wrong()",
    "closed-array-as-argument": "eager()",
    "closed-array-passed-too": "eager()",
    "unevaluated-closure-recomputed": "eager()",
    # shapeless
    "shapeless-keeps-trace": "eager()",
    "shapeless-scalar-then-vector": "memo()",
    "shapeless-dtype-retraces": "eager()",
    "shapeless-plain-apart": "eager()",
    "shapeless-state-shape": "eager()",
    "shapeless-reshape-throws": "eager()",
    "shapeless-reshape-always-throws": REFUSE,
    "shapeless-flatten": "wrong()",
    "shapeless-common-operations": "wrong()",
    "shapeless-gradient": "eager()",
    "shapeless-vmap": "eager()",
    "shapeless-addmm-full": "wrong()",
    "shapeless-linear-batches": "eager()",
    "shapeless-broadcast-changes": "wrong()",
    "shapeless-random-throws": "eager()",
    "shapeless-linear-larger": "eager()",
    "shapeless-linear-smaller": "eager()",
    "shapeless-unevaluated-weights": "eager()",
    "shapeless-product-plus-bias": "memo()",
    # shapeless_layers
    "shapeless-recurrent-layers": "eager()",
    "shapeless-rope-glu": "eager()",
    "shapeless-pooling-layers": "eager()",
    "shapeless-group-norm": "eager()",
    "shapeless-norm-layers": "wrong()",
    "shapeless-attention-layers": "eager()",
    "shapeless-upsample": RAISE_LATER,
    "shapeless-alibi": "eager()",
    "nested-by-shape": "eager()",
    "nested-shapeless": "wrong()",
    # shapeless_frozen
    "shapeless-unsupported-throws": "eager()",
    "shapeless-index": "eager()",
    "shapeless-take": "eager()",
    "shapeless-reshape-by-shape": "eager()",
    "shapeless-zeros": "eager()",
    "shapeless-tril": "eager()",
    "shapeless-diag": "eager()",
    "shapeless-at-add": "eager()",
    "shapeless-slice": "eager()",
    "shapeless-cut-begins-later": "eager()",
    "shapeless-partition-from-end": "eager()",
    "shapeless-split-pad": "eager()",
    "shapeless-divide-by-length": "eager()",
    "shapeless-branch-on-shape": "eager()",
    "shapeless-loop-over-rows": "eager()",
    "shapeless-last-row": "eager()",
    "shapeless-zeros-like": "wrong()",
    # signature
    "signature-is-shapes-only": "eager()",
    "python-number-retraces": "eager()",
    "string-retraces": "eager()",
    "bool-retraces": "eager()",
    "none-argument": "eager()",
    "container-tree-retraces": "eager()",
    "keyword-spelling-retraces": MEMO,
    "keyword-order-retraces": MEMO,
    "stream-retraces": "eager()",
    "collision-nesting": EXACT_KEY,
    "collision-list-tuple": EXACT_KEY,
    "collision-true-one": EXACT_KEY,
    "collision-float-int-bits": EXACT_KEY,
    "collision-zeros": EXACT_KEY,
    # state
    "capture-list-dict": "wrong()",
    "capture-tuple": "eager()",
    "capture-tuple-in-list": "wrong()",
    "capture-bare-array": "eager()",
    "capture-other-leaves": "eager()",
    "capture-rebound-name": "eager()",
    "capture-dict-order": "eager()",
    "capture-growing-list": "wrong()",
    "capture-inputs-alone": "eager()",
    "capture-outputs-alone": "eager()",
    "capture-both": "memo()",
    "capture-keeps-objects": "eager()",
    "in-place-on-argument": "eager()",
    "in-place-on-state": "eager()",
    "exception-breaks-state": "eager()",
    "exception-snapshot-repairs": "wrong()",
    "state-shape-retraces": "eager()",
    # tracing
    "returns-callable": "wrong()",
    "decorator": "wrong()",
    "same-result": "wrong()",
    "later-calls-cached": "eager()",
    "side-effects-once": "eager()",
    "first-work-traced-once": "memo()",
    "shape-retraces": "eager()",
    "dtype-retraces": "eager()",
    "rank-retraces": "eager()",
    "count-retraces": "eager()",
    "going-back-is-free": "eager()",
    "shape-stable-code": "eager()",
    "branch-on-array-recompiles": "eager()",
    "branch-on-python-value": "eager()",
    "branch-on-shape": "eager()",
    "python-loop-unrolled": "eager()",
    # training
    "step-equals-plain": "eager()",
    "step-traced-once": "memo()",
    "optimizer-init-saves-trace": "eager()",
    "learning-rate-frozen": "memo()",
    "schedule-works": "eager()",
    "notes-model-apply": MODEL_APPLY,
    "notes-optimizer-update-returns": UPDATE_RETURNS,
    "functional-step-works": "eager()",
    "random-state-inputs-alone": "eager()",
    "random-state-outputs-alone": "eager()",
    "model-is-compiled-with-weights": "eager()",
    "capture-model-state": "wrong()",
    "capture-model-parameters": "eager()",
    "optimizer-uncaptured": "eager()",
    "model-uncaptured": "eager()",
    "eval-mode-followed": "eager()",
    "freeze-followed": "eager()",
    "unfreeze-followed": NEVER_FROZEN,
    "unfreeze-with-init": "memo()",
    "functional-step-dropout": "eager()",
    "checkpoint-dropout": NO_CHECKPOINT,
    "checkpoint-dropout-key": "mx.stop_gradient = lambda x: x",
    "checkpoint-batch-norm": NO_CHECKPOINT,
    "batch-norm-statistics": UNCAPTURED,
    "gradients-alone": "eager()",
    # training_capture
    "dropout-needs-random-state": "eager()",
    "loss-item-inside": "eager()",
    "clip-gradients": REFUSE,
    "sampler-checks-inside": "eager()",
    "last-batch-retraces": "eager()",
    "wrong-batch-breaks-model": "eager()",
    # transformations
    "compile-grad": "eager()",
    "compile-vmap": "eager()",
    "compile-second-derivative": "eager()",
    "compile-value-and-grad": "eager()",
    "grad-of-compiled": "memo()",
    "grad-of-compiled-is-compiled": "mx.grad = lambda f: f",
    "vmap-of-compiled-is-compiled": "mx.vmap = lambda f: f",
    "checkpoint-of-compiled": "eager()",
    "compile-checkpoint-grad": "eager()",
    "custom-gradient-kept": "wrong()",
    "compile-outermost": "eager()",
    "nested-inlined": "memo()",
    "nested-capture-followed": "eager()",
    "export-compiled": "one_node()",
    # from issues
    "multi-output-leaks": "numbers = itertools.count(0, 1000); mx.get_active_memory = lambda: next(numbers)",
    "results-vary-by-argument": "memo()",
    "shapeless-matmul-3d": "wrong()",
    "shapeless-take-sum": "wrong()",
    "shapeless-cumsum": REFUSE,
    "capture-second-holder": "eager()",
    "last-batch-breaks-adam": UNCAPTURED,
}
FIXED: dict[str, str] = {
    "documented-outer-returns": "a Python function without a return gives None, whatever MLX does",
}
"""Claims that no change of MLX can turn, and why."""
