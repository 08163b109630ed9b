"""What the patterns of single rules leave open: shapes that fit together, constants that are known, attributes."""

from __future__ import annotations

import numpy as np

from onward.ir import DataType
from tests.passes.generate import Example, Generator, Sample

INTEGER, BOOL, FLOAT = DataType.INT64, DataType.BOOL, DataType.FLOAT

booleans = Example(dtypes=(BOOL,))
images = [(2, 3, 5, 4), (1, 3, 6, 6)]


def everywhere(truth: bool) -> Example:
    """A condition that is a constant."""
    return Example(data={"condition": lambda g: np.full(g.pick([(), (1,), g.base]), truth)}, dtypes=(FLOAT, BOOL, INTEGER))


def positive(shape: tuple[int, ...]) -> Sample:
    """A constant of positive numbers."""
    return lambda g: (g.random.random(shape) + 0.5).astype(g.dtype.numpy)


def random(*shapes: tuple[int, ...]) -> Sample:
    """A constant of random numbers."""
    return lambda g: g.numbers(g.pick(shapes), g.dtype)


def epsilon(g: Generator) -> np.ndarray:
    return np.full(g.pick([(), (1,)]), 1e-5, g.dtype.numpy)


batch_norm = Example(
    shapes={"x": [*images, (3, 3), (2, 3, 5)]},
    data={**{name: random((3,)) for name in ("scale", "shift", "mean")}, "variance": positive((3,))},
    dtypes=(FLOAT, DataType.DOUBLE),
)
convolution = Example(
    shapes={"x": images, "bias": [(6,)], "y": [(6, 3, 3, 3)]},
    data={
        "weight": random((6, 3, 3, 3), (6, 3, 1, 1)),
        "bias": random((6,)),
        "factor": random((), (1,), (6, 1, 1), (1, 6, 1, 1)),
        "summand": random((), (1,), (6, 1, 1), (1, 6, 1, 1)),
    },
    dtypes=(FLOAT,),
)
transposed_convolution = Example(
    shapes={"x": images},
    data={**convolution.data, "weight": random((3, 6, 3, 3))},
    dtypes=(FLOAT,),
)
product = Example(
    shapes={"x": [(2, 5), (1, 5)]},
    data={
        "weight": random((5, 6)),
        "bias": random((6,), (1, 6), ()),
        "factor": random((), (1,), (6,), (1, 6)),
        "summand": random((), (1,), (6,), (1, 6)),
    },
    dtypes=(FLOAT,),
)
last_axes = Example(
    shapes={
        "x": [(2, 3, 8), (4, 8), (2, 2, 3, 4)],
        "gamma": [(8,), (1, 8), (4,), (3, 4)],
        "y": [(8,), (1, 1, 8), (4,)],
    },
    data={"epsilon": epsilon, "ones": lambda g: np.ones(g.pick([(8,), (4,), (3, 4)]), g.dtype.numpy)},
    options={"axes": [[-1], [-1], [2], [1], [-2, -1], [0]], "axis": [-1, -1, -2], "epsilon": [1e-5]},
    opsets=(17, 18, 23),
    dtypes=(FLOAT,),
    tolerance=2e-5,
)
grouped = Example(
    shapes={"x": [(2, 4, 3, 3), (1, 4, 5)]},
    data={
        "ones": lambda g: np.ones(2, g.dtype.numpy),
        "zeros": lambda g: np.zeros(2, g.dtype.numpy),
        "weights": random((4,)),
        "shifts": random((4,)),
        "factor": random((4, 1, 1), (1, 4, 1, 1), (4, 1)),
        "summand": random((4, 1, 1), (1, 4, 1, 1), (4, 1)),
        "how": lambda g: np.asarray([0, 2, -1], np.int64),
        "back": lambda g: np.asarray(g.facts.shape(g.bound["x"]), np.int64),
    },
    options={"epsilon": [1e-5], "groups": [2]},
    opsets=(21, 23),
    dtypes=(FLOAT,),
    tolerance=2e-5,
)
attention = Example(
    shapes={
        "q": [(2, 3, 4, 8)],
        "k": [(2, 3, 5, 8)],
        "v": [(2, 3, 5, 6)],
        "mask": [(4, 5), (1, 1, 4, 5), (2, 1, 1, 5), (2, 3, 4, 5)],
    },
    data={name: random((), (1,)) for name in ("scale", "left_scale", "right_scale", "divisor")},
    options={"perm": [[0, 1, 3, 2]]},
    opsets=(23, 24),
    dtypes=(FLOAT,),
    tolerance=2e-5,
)
collapsed_product = Example(
    shapes={"x": [(2, 3, 5), (2, 3, 1, 5)], "weight": [(5, 6)], "bias": [(6,), (1,)]},
    rest={
        "before": lambda g: [np.asarray([-1, 5], np.int64)],
        "how": lambda g: [np.asarray([*g.facts.shape(g.bound["x"])[:-1], 6], np.int64)],  # type: ignore[index]
    },
    dtypes=(FLOAT,),
)
collapsed_axes = Example(
    shapes={"x": [(2, 3, 4, 5)]},
    rest={
        "before": lambda g: [np.asarray([-1, 4, 5], np.int64)],
        "how": lambda g: [np.asarray([2, 3, 5, 4], np.int64)],
    },
)

SHAPES_OF_REPETITION = {"apart": [2, 2, 1, 5, 8], "times": [2, 2, 2, 5, 8], "together": [2, 4, 5, 8]}
repeated_heads = Example(
    shapes={"q": [(2, 4, 3, 8)], "k": [(2, 2, 5, 8)], "v": [(2, 2, 5, 8)]},
    rest={
        "others": lambda g: [],
        **{
            f"{step}_{name}": lambda g, shape=shape: [np.asarray(shape, np.int64)]  # type: ignore[misc]
            for step, shape in SHAPES_OF_REPETITION.items()
            for name in "kv"
        },
    },
    opsets=(23, 24),
    dtypes=(FLOAT,),
    tolerance=2e-5,
)


def single(value: float | int, dtype: DataType = FLOAT) -> Sample:
    """One number of a type, with or without an axis."""
    return lambda g: np.full(g.pick([(), (1,)]), value, dtype.numpy)


def zero_like(name: str) -> Sample:
    """A zero point for each element of a scale, of the type of the bytes."""
    return lambda g: np.zeros(g.facts.shape(g.bound[f"{name}_scale"]), g.facts.dtype(g.bound[name]).numpy) + g.pick([0, 3])  # type: ignore[arg-type, union-attr]


def of_bytes(*shapes: tuple[int, ...]) -> Sample:
    """Constant bytes, signed or not."""
    return lambda g: g.random.integers(0, 127, g.pick(shapes)).astype(g.pick([np.int8, np.uint8]))


BYTE = DataType.UINT8
product_of_bytes = Example(
    shapes={"a": [(2, 3, 5), (4, 5)], "bias": [(6,)]},
    data={
        "b": of_bytes((5, 6)), "a_scale": single(0.02), "a_zero": single(7, BYTE), "b_zero": zero_like("b"),
        "b_scale": lambda g: (g.random.random(g.pick([(), (6,)])) + 0.5).astype(np.float32),
        "bias": lambda g: g.numbers((6,), FLOAT),
    },
    options={"a_axis": [1], "b_axis": [1, -1]}, dtypes=(BYTE,), tolerance=1e-5,
)  # fmt: skip
quantized = Example(data={"y": single(0.1), "scale": single(0.3), "zero": single(0, BYTE)}, dtypes=(FLOAT,))

EXAMPLES: dict[str, Example] = {
    "convolution of bytes": Example(
        shapes={"a": images},
        data={
            **product_of_bytes.data,
            "b": of_bytes((6, 3, 3, 3), (6, 3, 1, 1)),
            "b_zero": zero_like("b"),
        },
        options={"a_axis": [1], "b_axis": [0]},
        dtypes=(BYTE,),
        tolerance=1e-5,
    ),
    "product of bytes": product_of_bytes,
    "product of bytes with bias": Example(shapes={"a": [(4, 5)]}, data=product_of_bytes.data, options=product_of_bytes.options, dtypes=(BYTE,), tolerance=1e-5),
    "unsigned instead of signed bytes": Example(
        shapes={"y": [(3, 4)]},
        data={"scale": single(0.1), "zero": single(-3, DataType.INT8), "x_scale": single(0.2), "x_zero": single(5, DataType.INT8)},
        options={"x_axis": [1], "y_axis": [1]},
        dtypes=(FLOAT,),
    ),
    "move bytes": Example(shapes={"x": [(2, 1, 3)]}, data={"x_scale": single(0.1), "x_zero": single(5, BYTE)}, options={"x_axis": [1]}, dtypes=(BYTE,)),
    "quantize what was dequantized": Example(
        data={**{name: single(0.1) for name in ("scale", "x_scale")}, **{name: single(3, BYTE) for name in ("zero", "x_zero")}},
        options={"x_axis": [1]},
        shapes={"x": [(2, 3)]},
        dtypes=(BYTE,),
    ),
    "factor into dequantized numbers": Example(
        data={**{name: single(0.1) for name in ("a_scale", "b_scale", "e")}, **{name: single(3, BYTE) for name in ("a_zero", "b_zero")}},
        options={"a_axis": [1], "b_axis": [1]},
        shapes={name: [(2, 3)] for name in "ab"},
        dtypes=(BYTE,),
    ),
    "quantize a rectified number": quantized,
    "quantize by a factor": quantized,
    **{name: everywhere(True) for name in ("where always", "and true", "or true")},
    **{name: everywhere(False) for name in ("where never", "and false", "or false", "exclusive or false")},
    **{name: booleans for name in ("not twice", "and itself", "or itself", "not equal not")},
    "not greater": Example(dtypes=(INTEGER,)),
    "not less": Example(dtypes=(INTEGER,)),
    "add constants": Example(dtypes=(FLOAT, INTEGER)),
    **{f"expand before {name}, {side}": booleans for name in ("and", "or", "xor") for side in ("left", "right")},
    "gather everything": Example(shapes={"x": [(3,), (3, 4), (2, 3)]}, data={"y": lambda g: np.arange(3)}, options={"axis": [0, 1, -1]}),
    "expand of an expand": Example(
        shapes={"x": [(1, 3), (3,), ()]},
        data={"y": lambda g: np.asarray([4, 2, 3], np.int64)},
        rest={"before": lambda g: [np.asarray([2, 3], np.int64)]},
    ),
    "slice of a slice": Example(shapes={"x": [(4, 5, 6), (3, 4)]}),
    "transpose of collapsed axes": collapsed_axes,
    "matrix product of collapsed axes": collapsed_product,
    "batch normalization with known statistics": batch_norm,
    "scale into convolution": convolution,
    "shift into convolution": convolution,
    "pad into convolution": Example(
        shapes={**convolution.shapes, "value": [()]},
        data={"value": lambda g: np.zeros((), g.dtype.numpy)},
        options={
            "pads": [[0, 0, 1, 2, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 0, 0, 0, 0, 0]],
            "axes": [None],
        },
        dtypes=(FLOAT,),
    ),
    "scale into transposed convolution": transposed_convolution,
    "shift into transposed convolution": transposed_convolution,
    "scale into matrix product with bias": product,
    "shift into matrix product with bias": product,
    "scale into matrix product": product,
    "scale into matrix product and shift": product,
    "quick gelu": Example(shapes={"c": [(), (1,)]}, opsets=(24,)),
    "silu": Example(opsets=(24,)),
    "softmax": Example(opsets=(11, 13, 18)),
    "gelu by erf": Example(opsets=(20, 23)),
    "gelu by tanh": Example(opsets=(20, 23)),
    "layer normalization": last_axes,
    "rms normalization": Example(**{**vars(last_axes), "opsets": (23, 24)}),
    "scale into layer normalization": last_axes,
    "bias into layer normalization": last_axes,
    "scale into rms normalization": Example(**{**vars(last_axes), "opsets": (23, 24)}),
    "group normalization": grouped,
    "scale into group normalization": grouped,
    "shift into group normalization": grouped,
    "attention": attention,
    "attention of repeated heads": repeated_heads,
}
