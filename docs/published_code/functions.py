"""Functions of published packages that are compiled: each with inputs of a realistic size, and calls that may trace it anew.

A case is plain data until it runs: no package, nor MLX, is imported when this module is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Args = tuple[Any, ...]


class Make:
    """Makes inputs: larger ones, of bfloat16, for a GPU; smaller ones, of float32, for a processor."""

    def __init__(self, large: bool) -> None:
        import mlx.core as mx

        self.large, self.dtype, self._count = large, mx.bfloat16 if large else mx.float32, 0

    def size(self, small: int, large: int) -> int:
        """Return the one of two sizes that fits."""
        return large if self.large else small

    def normal(self, *shape: int, dtype: Any = None) -> Any:
        """Return normal random numbers, other ones at each call."""
        import mlx.core as mx

        self._count += 1
        return mx.random.normal(shape, key=mx.random.key(self._count)).astype(dtype or self.dtype)

    def positive(self, *shape: int, dtype: Any = None) -> Any:
        """Return random numbers between 0 and 1."""
        import mlx.core as mx

        return mx.sigmoid(self.normal(*shape, dtype=mx.float32)).astype(dtype or self.dtype)

    def integers(self, most: int, *shape: int) -> Any:
        """Return random integers below ``most``."""
        import mlx.core as mx

        self._count += 1
        return mx.random.randint(0, most, shape, key=mx.random.key(self._count))

    def logprobs(self, rows: int) -> Any:
        """Return log-probabilities over the vocabulary of a language model."""
        import mlx.core as mx

        logits = 4 * self.normal(rows, self.size(32_000, 128_256), dtype=mx.float32)
        return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


@dataclass(frozen=True)
class Case:
    """A compiled function and calls of it: the first is timed, all are compared with the plain function and watched."""

    name: str
    package: str
    function: str
    calls: Callable[[Make], list[Args]]
    draws: bool = False
    """Whether it draws random numbers, so that both sides need the same seed before each call."""


def _sizes(*shape: int, larger: tuple[int, ...], arrays: int = 1) -> Callable[[Make], list[Args]]:
    """Return calls with so many arrays: twice with one shape, then with half as many tokens, which are the second axis."""

    def calls(make: Make) -> list[Args]:
        wanted = larger if make.large else shape
        half = (wanted[0], wanted[1] // 2, *wanted[2:])
        first, second = (tuple(make.normal(*some) for _ in range(arrays)) for some in (wanted, half))
        return [first, first, second]

    return calls


def _sampling(*values: Any, **others: Any) -> Callable[[Make], list[Args]]:
    """Return calls of a sampler: one value twice, then other ones, then other numbers of rows."""

    def calls(make: Make) -> list[Args]:
        rows = make.size(1, 16)
        logprobs, more, rest = make.logprobs(rows), make.logprobs(2 * rows), tuple(others.values())
        return [*((logprobs, value, *rest) for value in (values[0], *values)), (more, values[0], *rest)]

    return calls


def _xielu(make: Make) -> list[Args]:
    import mlx.core as mx

    shape, scalars = (1, make.size(128, 2048), make.size(1024, 8192)), [mx.array(v) for v in (0.2, 0.3, 0.5, -1e-6)]
    x = make.normal(*shape)
    return [(x, *scalars), (x, *scalars), (x[:, :64], *scalars)]


def _gelu_topk(make: Make) -> list[Args]:
    import mlx.core as mx

    x, std = make.normal(1, make.size(64, 1024), make.size(2048, 16_384)), mx.array(1.64)
    return [(x, std), (x, std), (x[:, :32], std)]


def _limited(make: Make) -> list[Args]:
    gate, linear = (make.normal(1, make.size(128, 2048), make.size(2048, 8192)) for _ in range(2))
    return [(gate, linear, 20.0), (gate, linear, 20.0), (gate, linear, 10.0), (gate[:, :64], linear[:, :64], 20.0)]


def _decay(make: Make) -> list[Args]:
    heads, tokens = make.size(32, 64), make.size(512, 8192)
    a, a_log, bias = make.normal(1, tokens, heads), make.normal(heads), make.normal(heads)
    return [(a_log, a, bias), (a_log, a, bias), (a_log, a[:, :100], bias)]


def _time_steps(make: Make) -> list[Args]:
    heads, tokens = make.size(64, 128), make.size(512, 8192)
    dt, bias, limit = make.normal(1, tokens, heads), make.normal(heads), (0.0, 100.0)
    return [(dt, bias, limit), (dt, bias, limit), (dt[:, :1], bias, limit), (dt, bias, (0.001, 100.0))]


def _delta_step(make: Make) -> list[Args]:
    import mlx.core as mx

    def args(batch: int) -> Args:
        heads, width = make.size(16, 32), 128
        q, k, v = (make.normal(batch, heads, width) for _ in range(3))
        g, beta = (make.positive(batch, heads, dtype=mx.float32) for _ in range(2))
        return q, k, v, g, beta, make.normal(batch, heads, width, width, dtype=mx.float32)

    one = args(make.size(1, 8))
    return [one, one, args(make.size(2, 4))]


def _wkv_step(make: Make) -> list[Args]:
    def args(batch: int) -> Args:
        heads, width = make.size(32, 64), 64
        return (*(make.positive(batch, heads, width) for _ in range(6)), make.normal(batch, heads, width, width))

    one = args(make.size(1, 8))
    return [one, one, args(make.size(2, 4))]


def _experts(make: Make) -> list[Args]:
    import mlx.core as mx

    gates, bias = make.normal(1, make.size(256, 4096), 256), make.positive(256, dtype=mx.float32)
    chosen = (8, 8, 4, 2.5, True)
    return [(gates, bias, *chosen), (gates, bias, *chosen), (gates[:, :1], bias, *chosen)]


def _objective(make: Make) -> list[Args]:
    rows, tokens = make.size(8, 64), make.size(512, 4096)
    logps, reference = (-make.positive(rows, tokens) for _ in range(2))
    mask, advantages = make.positive(rows, tokens) > 0.2, make.normal(rows)
    args = (logps, reference, mask, advantages)
    return [args, args, (logps[:, :100], reference[:, :100], mask[:, :100], advantages)]


def _rotary(make: Make) -> list[Args]:
    def args(tokens: int) -> Args:
        q, k = (make.normal(1, make.size(8, 16), tokens, 128) for _ in range(2))
        return q, k, make.normal(1, tokens, 128), make.normal(1, tokens, 128)

    one = args(make.size(128, 4096))
    return [one, one, args(1)]


def _matrices(small: int, large: int) -> Callable[[Make], list[Args]]:
    def calls(make: Make) -> list[Args]:
        import mlx.core as mx

        side = make.size(small, large)
        square, tall = make.normal(side, side, dtype=mx.float32), make.normal(2 * side, side, dtype=mx.float32)
        return [(square,), (square,), (tall,)]

    return calls


def _entropies(make: Make) -> list[Args]:
    import mlx.core as mx

    def args(tokens: int) -> Args:
        logits = make.normal(1, tokens, make.size(32_000, 128_256), dtype=mx.float32)
        return logits, mx.logsumexp(logits, axis=-1, keepdims=True)

    one = args(make.size(16, 256))
    return [one, one, args(8)]


def _gumbel(make: Make) -> list[Args]:
    import mlx.core as mx

    def args(tokens: int) -> Args:
        shape = (1, tokens, make.size(32_000, 128_256))
        return make.normal(*shape, dtype=mx.float32), make.positive(*shape, dtype=mx.float32), mx.array(1.25)

    one = args(make.size(16, 256))
    return [one, one, args(8)]


def _selection(make: Make) -> list[Args]:
    vocabulary = make.size(32_000, 128_256)

    def args(tokens: int) -> Args:
        logits = make.normal(2, tokens, vocabulary)
        return logits, make.integers(vocabulary, 2, tokens), make.positive(2, tokens) > 0.2

    one = args(make.size(16, 256))
    return [one, one, args(8)]


def _points(make: Make) -> list[Args]:
    import mlx.core as mx

    def args(count: int) -> Args:
        return make.normal(count, 2, dtype=mx.float32), 1 - mx.eye(count)

    one = args(make.size(600, 8000))
    return [one, one, args(500)]


def _pairs(make: Make) -> list[Args]:
    import mlx.core as mx

    count = make.size(2000, 100_000)
    places = [make.normal(count, 2, dtype=mx.float32), *(0.1 * make.positive(count, 2, dtype=mx.float32) for _ in "mv")]
    pairs = [make.integers(count, 10 * count) for _ in range(4)]
    numbers = [mx.array(value) for value in (1.0, 1.0, 0.01)]
    changed = [*numbers[:2], mx.array(0.02)]
    return [(*places, *pairs, *numbers), (*places, *pairs, *numbers), (*places, *pairs, *changed)]


LM, AUDIO, VLM = "mlx_lm.models", "mlx_audio", "mlx_vlm"
CASES = (
    Case("lm-swiglu", "mlx-lm", f"{LM}.activations:swiglu",
         _sizes(1, 128, 2048, larger=(8, 2048, 8192), arrays=2)),
    Case("lm-swiglu-oai", "mlx-lm", f"{LM}.activations:swiglu_oai",
         _sizes(1, 128, 2880, larger=(8, 2048, 2880), arrays=2)),
    Case("lm-xielu", "mlx-lm", f"{LM}.activations:xielu", _xielu),
    Case("lm-clip-residual", "mlx-lm", f"{LM}.gemma3_text:clip_residual",
         lambda make: [(x := make.normal(1, make.size(256, 8192), 2048, dtype=_half()), x), (x, x), (x[:, :64],) * 2]),
    Case("lm-gelu-topk", "mlx-lm", f"{LM}.gemma3n:gelu_topk", _gelu_topk),
    Case("lm-softcap", "mlx-lm", f"{LM}.nanochat:softcap", _sizes(1, 16, 32_000, larger=(1, 512, 128_256))),
    Case("lm-gegelu", "mlx-lm", f"{LM}.phi3small:gegelu_impl", _limited),
    Case("lm-relu-squared", "mlx-lm", f"{LM}.nemotron:relu_squared", _sizes(1, 128, 4096, larger=(8, 2048, 8192))),
    Case("lm-compute-g", "mlx-lm", f"{LM}.gated_delta:compute_g", _decay),
    Case("lm-compute-dt", "mlx-lm", f"{LM}.ssm:compute_dt", _time_steps),
    Case("lm-gated-delta-step", "mlx-lm", f"{LM}.gated_delta:_gated_delta_step_ops", _delta_step),
    Case("lm-rwkv7-step", "mlx-lm", f"{LM}.rwkv7:_wkv7_step_ops", _wkv_step),
    Case("lm-rwkv7-l2-norm", "mlx-lm", f"{LM}.rwkv7:l2_norm", _sizes(1, 256, 32, 64, larger=(8, 4096, 32, 64))),
    Case("lm-expert-select", "mlx-lm", f"{LM}.deepseek_v3:group_expert_select", _experts),
    Case("lm-top-p", "mlx-lm", "mlx_lm.sample_utils:apply_top_p", _sampling(0.9, 0.8)),
    Case("lm-min-p", "mlx-lm", "mlx_lm.sample_utils:apply_min_p", _sampling(0.05, 0.1)),
    Case("lm-top-k", "mlx-lm", "mlx_lm.sample_utils:apply_top_k", _sampling(40, 20)),
    Case("lm-xtc", "mlx-lm", "mlx_lm.sample_utils:apply_xtc", _sampling(0.5, 0.4, threshold=0.1, special=[1, 2]),
         draws=True),
    Case("lm-categorical", "mlx-lm", "mlx_lm.sample_utils:categorical_sampling", _sampling(0.7, 0.8), draws=True),
    Case("vlm-geglu", "mlx-vlm", f"{VLM}.models.gemma4.language:geglu",
         _sizes(1, 128, 2048, larger=(8, 2048, 8192), arrays=2)),
    Case("vlm-top-n-sigma", "mlx-vlm", f"{VLM}.sample_utils:_top_n_sigma", _sampling(1.0, 1.5)),
    Case("vlm-p-less", "mlx-vlm", f"{VLM}.sample_utils:apply_p_less", _sampling(0.7, 0.8)),
    Case("vlm-typical-p", "mlx-vlm", f"{VLM}.sample_utils:_typical_p", _sampling(0.9, 0.8)),
    Case("vlm-grpo-objective", "mlx-vlm", f"{VLM}.trainer.vlm.grpo.loss:grpo_objective", _objective),
    Case("audio-rotary", "mlx-audio", f"{AUDIO}.tts.models.qwen3_tts.talker:apply_rotary_pos_emb", _rotary),
    Case("audio-whisper-categorical", "mlx-audio", f"{AUDIO}.stt.models.whisper.decoding:categorical",
         _sampling(0.7, 0.8), draws=True),
    Case("audio-moshi-top-p", "mlx-audio", f"{AUDIO}.sts.models.moshi.utils.sampling:top_p_sampling",
         _sampling(0.9, 0.8, temperature=0.7), draws=True),
    Case("audio-precise-swiglu", "mlx-audio", f"{AUDIO}.lm.models.qwen3_next:_precise_swiglu",
         _sizes(1, 128, 2048, larger=(8, 2048, 8192), arrays=3)),
    Case("lora-select-logps", "mlx-lm-lora", "mlx_lm_lora.trainer.grpo_trainer:_select_token_logps", _selection),
    Case("optimizers-newton-schulz", "mlx-optimizers", "mlx_optimizers.common:newton_schulz", _matrices(128, 2048)),
    Case("optimizers-muon", "mlx-optimizers", "mlx_optimizers.muon:zeropower_via_newtonschulz5", _matrices(128, 2048)),
    Case("arsenal-entropy", "mlx-arsenal", "mlx_arsenal.diffusion.masked_decode:_entropy", _entropies),
    Case("arsenal-gumbel", "mlx-arsenal", "mlx_arsenal.diffusion.masked_decode:_gumbel_argmax", _gumbel),
    Case("vis-tsne-repulsion", "mlx-vis", "mlx_vis._tsne.tsne:TSNE._repulsive_grad_full", _points),
    Case("vis-pacmap-step", "mlx-vis", "mlx_vis._pacmap.pacmap:_STEP_NO_MN", _pairs),
)  # fmt: skip


def _half() -> Any:
    import mlx.core as mx

    return mx.float16
