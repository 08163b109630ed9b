"""A small trained network that many tests share: noisy pictures of four shapes, classified by a convolution."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

CLASSES, SIDE, HIDDEN = 4, 12, 32


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures (count, 1, 12, 12) of a horizontal bar, a vertical bar, a cross or a frame, and their classes."""
    generator = np.random.default_rng(seed)
    images = generator.normal(0, 0.25, (count, 1, SIDE, SIDE))
    labels = generator.integers(0, CLASSES, count)
    for image, label in zip(images[:, 0], labels):
        row, column = generator.integers(2, SIDE - 2, 2)
        if label in (0, 2):
            image[row, 1:-1] += 1
        if label in (1, 2):
            image[1:-1, column] += 1
        if label == 3:
            low, high = generator.integers(0, 3), generator.integers(SIDE - 3, SIDE)
            image[low, low:high] += 1
            image[high - 1, low:high] += 1
            image[low:high, low] += 1
            image[low:high, high - 1] += 1
    return images.astype(np.float32), labels


def features(images: np.ndarray, kernels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolution 3x3 with padding, ReLU, maximum over 2x2, flattened; in float64."""
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    maps = np.einsum("nchwij,ocij->nohw", windows, kernels.astype(np.float64)) + bias[:, None, None]
    maps = np.maximum(maps, 0)
    pooled = maps.reshape(len(images), -1, SIDE // 2, 2, SIDE // 2, 2).max((3, 5))
    return pooled.reshape(len(images), -1)


@functools.cache
def train() -> dict[str, Any]:
    """Fixed convolution kernels (edges at eight angles), a hidden layer and a classifier trained by gradient descent."""
    generator = np.random.default_rng(0)
    angles = np.arange(8) * np.pi / 4
    grid = np.mgrid[-1:2, -1:2]
    kernels = np.stack([np.cos(a) * grid[0] + np.sin(a) * grid[1] for a in angles])[:, None].astype(np.float32)
    bias = generator.normal(0, 0.1, 8).astype(np.float32)
    images, labels = draw(1500, 1)
    inputs = features(images, kernels, bias)
    inputs_mean = inputs.mean(0)
    size = inputs.shape[1]
    first = generator.normal(0, 1 / np.sqrt(size), (size, HIDDEN))
    second = generator.normal(0, 1 / np.sqrt(HIDDEN), (HIDDEN, CLASSES))
    first_bias, second_bias = np.zeros(HIDDEN), np.zeros(CLASSES)
    wanted = np.eye(CLASSES)[labels]
    for _ in range(150):
        hidden = np.maximum((inputs - inputs_mean) @ first + first_bias, 0)
        scores = hidden @ second + second_bias
        chances = np.exp(scores - scores.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        slope = (chances - wanted) / len(images)
        back = (slope @ second.T) * (hidden > 0)
        second -= 0.5 * hidden.T @ slope
        second_bias -= 0.5 * slope.sum(0)
        first -= 0.5 * (inputs - inputs_mean).T @ back
        first_bias -= 0.5 * back.sum(0)
    network: dict[str, Any] = {
        "kernels": kernels, "bias": bias, "first": first.astype(np.float32),
        "first_bias": (first_bias - inputs_mean @ first).astype(np.float32), "second": second.astype(np.float32),
        "second_bias": second_bias.astype(np.float32),
    }  # fmt: skip
    network["accuracy"] = float((predict(network, images).argmax(1) == labels).mean())
    return network


def predict(network: dict[str, Any], images: np.ndarray) -> np.ndarray:
    """The class probabilities, in float64."""
    wide = {name: np.asarray(value, np.float64) for name, value in network.items()}
    hidden = np.maximum(features(images, wide["kernels"], wide["bias"]) @ wide["first"] + wide["first_bias"], 0)
    scores = hidden @ wide["second"] + wide["second_bias"]
    chances = np.exp(scores - scores.max(1, keepdims=True))
    return chances / chances.sum(1, keepdims=True)


def to_model(network: dict[str, Any]) -> Any:
    """The network as an ONNX model with a symbolic batch."""
    from onward.ir import DataType, Graph, Model, Node, Symbol, Tensor, TensorType, Value

    graph = Graph("shapes")
    batch = Symbol("batch")
    value = Value("image", TensorType(DataType.FLOAT, (batch, 1, SIDE, SIDE)))
    graph.inputs.append(value)

    def apply(operator: str, *inputs: Value, **attributes: Any) -> Value:
        node = Node(operator, inputs, [graph.new_value(hint=operator.lower())], attributes, name=f"{operator.lower()}_{len(graph.nodes)}")
        return graph.append(node).outputs[0]

    def weight(name: str) -> Value:
        return graph.add_initializer(Tensor.of(network[name], name), name)

    value = apply("Conv", value, weight("kernels"), weight("bias"), pads=[1, 1, 1, 1])
    value = apply("MaxPool", apply("Relu", value), kernel_shape=[2, 2], strides=[2, 2])
    value = apply("Relu", apply("Gemm", apply("Flatten", value), weight("first"), weight("first_bias")))
    value = apply("Softmax", apply("Gemm", value, weight("second"), weight("second_bias")))
    value.type = TensorType(DataType.FLOAT, (batch, CLASSES))
    graph.outputs.append(value)
    return Model(graph, {"": 21}, 10)
