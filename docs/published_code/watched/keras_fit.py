"""Fit a Keras model with the MLX backend for two epochs; the data is random, and its last batch is smaller."""

import os

os.environ["KERAS_BACKEND"] = "mlx"

import keras
import numpy as np

keras.utils.set_random_seed(0)
x, y = np.random.normal(size=(200, 16)).astype("float32"), np.random.randint(0, 4, 200)
layers = [keras.layers.Dense(32, activation="gelu"), keras.layers.Dropout(0.2), keras.layers.Dense(4)]
model = keras.Sequential([keras.layers.Input((16,)), *layers])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=True)
model.fit(x, y, batch_size=64, epochs=2, validation_split=0.2, verbose=0)
