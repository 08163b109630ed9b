"""A small real model for the demonstration: a convolutional network that reads digits, trained on the spot in NumPy.

The pictures are the ten digits of a 5 by 7 dot matrix, moved about, of varying brightness, and buried in noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from onward.ir import DataType, Graph, Model, Node, Symbol, Tensor, TensorType, Value

SIDE = 16
CLASSES = 10
CHANNELS = (1, 8, 16)
FEATURES = CHANNELS[-1] * (SIDE // 4) ** 2
NOISE = 0.35
DROPPED = 0.2
MEAN, DEVIATION = 0.2, 0.45
"""What the network subtracts from its pictures, and divides them by."""

DOTS = """
.###. ..#.. .###. ##### ...#. ##### ..##. ##### .###. .###.
#...# .##.. #...# ...#. ..##. #.... .#... ....# #...# #...#
#..## ..#.. ....# ..#.. .#.#. ####. #.... ...#. #...# #...#
#.#.# ..#.. ...#. ...#. #..#. ....# ####. ..#.. .###. .####
##..# ..#.. ..#.. ....# ##### ....# #...# .#... #...# ....#
#...# ..#.. .#... #...# ...#. #...# #...# .#... #...# ...#.
.###. .###. ##### .###. ...#. .###. .###. .#... .###. .##..
"""

Array = np.ndarray


def glyphs() -> Array:
    """The ten digits (10, 7, 5), 0 and 1."""
    rows = [line.split() for line in DOTS.split("\n") if line]
    return np.array([[[dot == "#" for dot in row[digit]] for row in rows] for digit in range(CLASSES)], np.float32)


def make_pictures(number: int, generator: np.random.Generator) -> tuple[Array, Array]:
    """Noisy pictures (number, 1, 16, 16) and what they show (number,)."""
    labels = generator.integers(0, CLASSES, number)
    shapes = glyphs().repeat(2, axis=1).repeat(2, axis=2)  # 14 rows, 10 columns
    pictures = np.zeros((number, 1, SIDE, SIDE), np.float32)
    for picture, label in zip(pictures, labels):
        top, left = generator.integers(0, SIDE - 14 + 1), generator.integers(0, SIDE - 10 + 1)
        picture[0, top : top + 14, left : left + 10] = shapes[label] * generator.uniform(0.5, 1)
    return pictures + generator.normal(0, NOISE, pictures.shape).astype(np.float32), labels


# -- the network in NumPy ---------------------------------------------------------------------------------------------
@dataclass
class Network:
    """Two 3 by 3 convolutions, each with a rectifier and a maximum over 2 by 2, and a linear layer."""

    parameters: dict[str, Array]

    @classmethod
    def random(cls, generator: np.random.Generator) -> Network:
        """Before training."""
        parameters = {}
        for number, (inputs, outputs) in enumerate(zip(CHANNELS, CHANNELS[1:]), 1):
            scale = np.sqrt(2 / (9 * inputs))
            parameters[f"weights{number}"] = generator.normal(0, scale, (outputs, inputs, 3, 3)).astype(np.float32)
            parameters[f"bias{number}"] = np.zeros(outputs, np.float32)
        parameters["weights3"] = generator.normal(0, np.sqrt(1 / FEATURES), (CLASSES, FEATURES)).astype(np.float32)
        parameters["bias3"] = np.zeros(CLASSES, np.float32)
        return cls(parameters)

    def probabilities(self, pictures: Array) -> Array:
        """What is shown, in double precision: the answer that compiled code is compared with. (number, 10)"""
        exact = Network({name: array.astype(np.float64) for name, array in self.parameters.items()})
        logits, _ = exact.forward(pictures.astype(np.float64))
        return softmax(logits)

    def forward(self, pictures: Array, kept: Array | float = 1.0) -> tuple[Array, list[Array]]:
        """Logits (number, 10), and what each layer read and gave. `kept` multiplies the features (dropout)."""
        trace: list[Array] = []
        x = (pictures - MEAN) / DEVIATION
        for number in (1, 2):
            y = np.maximum(convolve(x, self.parameters[f"weights{number}"], self.parameters[f"bias{number}"]), 0)
            trace += [x, y]
            x = pool(y)
        flat = x.reshape(len(x), -1) * kept
        trace.append(flat)
        return flat @ self.parameters["weights3"].T + self.parameters["bias3"], trace

    def gradients(self, pictures: Array, labels: Array, kept: Array) -> tuple[float, dict[str, Array]]:
        """The mean cross-entropy, and its derivative by each parameter. `kept` is as in `forward`."""
        logits, trace = self.forward(pictures, kept)
        chances = softmax(logits)
        loss = -float(np.log(chances[np.arange(len(labels)), labels] + 1e-12).mean())
        slope = chances
        slope[np.arange(len(labels)), labels] -= 1
        slope /= len(labels)
        result = {"weights3": slope.T @ trace[4], "bias3": slope.sum(0)}
        slope = (slope @ self.parameters["weights3"] * kept).reshape(pool(trace[3]).shape)
        for number in (2, 1):
            x, y = trace[2 * number - 2 : 2 * number]
            slope = np.where(y == spread(pool(y)), spread(slope), 0) * (y > 0)
            columns = windows(x).reshape(-1, x.shape[1] * 9)
            rows = slope.transpose(0, 2, 3, 1).reshape(-1, slope.shape[1])
            weights = self.parameters[f"weights{number}"]
            result[f"weights{number}"] = (rows.T @ columns).reshape(weights.shape)
            result[f"bias{number}"] = rows.sum(0)
            if number == 2:
                slope = convolve(slope, weights[:, :, ::-1, ::-1].transpose(1, 0, 2, 3), np.zeros(1, np.float32))
        return loss, result


def windows(x: Array) -> Array:
    """The 3 by 3 neighbourhood of each place, zero outside: (n, c, h, w) -> (n, h, w, 9 c)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    view = sliding_window_view(padded, (3, 3), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
    return view.reshape(*view.shape[:3], -1)


def convolve(x: Array, weights: Array, bias: Array) -> Array:
    """A 3 by 3 convolution that keeps the size."""
    return (windows(x) @ weights.reshape(len(weights), -1).T + bias).transpose(0, 3, 1, 2)


def pool(x: Array) -> Array:
    """The maximum over blocks of 2 by 2."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))


def spread(x: Array) -> Array:
    """Each element as a block of 2 by 2."""
    return x.repeat(2, axis=2).repeat(2, axis=3)


def softmax(x: Array) -> Array:
    """Along the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def train(generator: np.random.Generator, steps: int = 200, batch: int = 48) -> tuple[Network, list[float]]:
    """A trained network and the loss at each step. Adam (Kingma and Ba 2015), fresh pictures at every step."""
    network, losses = Network.random(generator), []
    first = {name: np.zeros_like(array) for name, array in network.parameters.items()}
    second = {name: np.zeros_like(array) for name, array in network.parameters.items()}
    for step in range(1, steps + 1):
        kept = (generator.random((batch, FEATURES)) > DROPPED).astype(np.float32) / (1 - DROPPED)
        loss, gradients = network.gradients(*make_pictures(batch, generator), kept)
        losses.append(loss)
        for name, gradient in gradients.items():
            first[name] += 0.1 * (gradient - first[name])
            second[name] += 0.01 * (gradient**2 - second[name])
            size = np.sqrt(second[name] / (1 - 0.99**step)) + 1e-8
            network.parameters[name] -= (0.004 * first[name] / (1 - 0.9**step) / size).astype(np.float32)
    return network, losses


# -- the network in ONNX ----------------------------------------------------------------------------------------------
def as_onnx(network: Network) -> Model:
    """The network with a symbolic batch, written the plain way: nothing is folded or fused."""
    graph = Graph("digits")
    x = Value("pictures", TensorType(DataType.FLOAT, (Symbol("batch"), 1, SIDE, SIDE)))
    graph.inputs.append(x)
    scaling = {"mean": np.array([MEAN], np.float32), "deviation": np.array([DEVIATION], np.float32)}
    arrays: dict[str, Array] = {**network.parameters, **scaling}
    constants = {name: graph.add_initializer(Tensor.of(array, name)) for name, array in arrays.items()}

    def add(operator: str, name: str, *inputs: Value, **attributes: object) -> Value:
        node = Node(operator, inputs, [graph.new_value(hint=name)], attributes, name=f"/{name}/{operator}")
        return graph.append(node).outputs[0]

    x = add("Div", "scaled", add("Sub", "centred", x, constants["mean"]), constants["deviation"])
    for number in (1, 2):
        weights, bias = constants[f"weights{number}"], constants[f"bias{number}"]
        x = add("Conv", f"block.{number}/convolved", x, weights, bias, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        x = add("Relu", f"block.{number}/rectified", x)
        x = add("MaxPool", f"block.{number}/pooled", x, kernel_shape=[2, 2], strides=[2, 2])
    x = add("Flatten", "flat", x, axis=1)
    x = add("Dropout", "kept", x)
    x = add("Gemm", "logits", x, constants["weights3"], constants["bias3"], transB=1)
    x = add("Softmax", "probabilities", x, axis=-1)
    x.type = TensorType(DataType.FLOAT, (Symbol("batch"), CLASSES))
    graph.outputs.append(x)
    return Model(graph, {"": 21})
