"""Networks of Keras on TensorFlow, exported as SavedModels. A process has one backend of Keras, so that this one is of its own:

python -m tests.converters.tensorflow.networks FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers


def convolutional() -> Any:
    """Convolutions of every kind, with a pool."""
    return keras.Sequential([
        keras.Input((12, 12, 3)), layers.Conv2D(8, 3, padding="same", strides=2), layers.BatchNormalization(), layers.ReLU(),
        layers.DepthwiseConv2D(3), layers.MaxPooling2D(2, padding="same"), layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        layers.GlobalAveragePooling2D(), layers.Dense(5, activation="softmax"),
    ])  # fmt: skip


def recurrent() -> Any:
    """LSTM in both directions, then GRU, over any number of steps."""
    return keras.Sequential([keras.Input((None, 6)), layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.GRU(5)])


def transformer() -> Any:
    """A block of attention and two dense layers."""
    start = keras.Input((None, 16))
    x = layers.LayerNormalization()(start + layers.MultiHeadAttention(4, 4)(start, start))
    return keras.Model(start, layers.Dense(16)(layers.Dense(32, activation="gelu")(x)))


NETWORKS = {"convolutional": (convolutional, (2, 12, 12, 3)), "recurrent": (recurrent, (2, 7, 6)), "transformer": (transformer, (2, 5, 16))}


def export(folder: Path) -> None:
    """For each network a SavedModel, and what it computes for random numbers (NAME.npz: x, y)."""
    for name, (build, shape) in NETWORKS.items():
        network = build()
        network.export(str(folder / name), verbose=False)
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        np.savez(folder / f"{name}.npz", x=x, y=np.asarray(network(x)))


if __name__ == "__main__":
    export(Path(sys.argv[1]))
