"""Fine-tune a small model with LoRA by the trainer of mlx-lm, on texts of several lengths; weights and texts are random."""

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx_lm.models import llama
from mlx_lm.tuner.trainer import TrainingArgs, train
from mlx_lm.tuner.utils import linear_to_lora_layers

facts = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
mx.random.seed(0)
model = llama.Model(llama.ModelArgs(model_type="llama", rms_norm_eps=1e-5, vocab_size=1000, **facts))
model.freeze()
linear_to_lora_layers(model, 2, {"rank": 8, "scale": 20.0, "dropout": 0.0})

np.random.seed(0)
lengths = np.random.randint(20, 120, 32)
texts = [([int(token) for token in np.random.randint(0, 1000, length)], 0) for length in lengths]
options = TrainingArgs(
    batch_size=4, iters=12, steps_per_report=6, max_seq_length=128, adapter_file="adapters.safetensors"
)
train(model, optim.Adam(1e-4), texts, args=options)
