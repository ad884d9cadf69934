"""Generate with mlx-lm, with six samplers one after the other; the model has random weights."""

import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.models import llama
from mlx_lm.sample_utils import make_sampler

SAMPLERS = (
    {"temp": 0.0},
    {"temp": 0.7},
    {"temp": 0.7, "top_p": 0.9},
    {"temp": 0.7, "top_p": 0.8},
    {"temp": 1.0, "top_p": 0.8},
    {"temp": 0.7, "min_p": 0.05},
)

facts = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
mx.random.seed(0)
model = llama.Model(llama.ModelArgs(model_type="llama", rms_norm_eps=1e-5, vocab_size=1000, **facts))
prompt = mx.random.randint(0, 1000, (24,))
for options in SAMPLERS:
    tokens = [token for token, _ in generate_step(prompt, model, max_tokens=12, sampler=make_sampler(**options))]
    print(options, tokens)
