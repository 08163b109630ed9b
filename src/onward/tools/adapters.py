"""How nodes change from one version of their operator to the next, and back.

`MOVES` holds the attributes that became inputs and serves both directions. Everything else is one small function, in
`UPGRADES` under the version that it leads to, in `DOWNGRADES` under the version that it leads away from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from onward.ir import DataType, Tensor
from onward.tools.rewriting import CannotConvert, Place

Adapter = Callable[[Place], None]
Key = tuple[str, int]
"""(operator, version in which the change came)"""


@dataclass(frozen=True)
class Move:
    """An attribute that became input number `index`. `like_data` takes the data type of the first input."""

    attribute: str
    index: int
    dtype: DataType = DataType.INT64
    like_data: bool = False
    scalar: bool = False


REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSumSquare",
)  # fmt: skip

MOVES: dict[Key, list[Move]] = {
    **{(name, 18): [Move("axes", 1)] for name in REDUCTIONS},
    ("ReduceSum", 13): [Move("axes", 1)],
    ("Squeeze", 13): [Move("axes", 1)],
    ("Unsqueeze", 13): [Move("axes", 1)],
    ("Split", 13): [Move("split", 1)],
    ("Reshape", 5): [Move("shape", 1)],
    ("Pad", 11): [Move("pads", 1), Move("value", 2, like_data=True, scalar=True)],
    ("Clip", 11): [Move("min", 1, like_data=True, scalar=True), Move("max", 2, like_data=True, scalar=True)],
    ("Slice", 10): [Move("starts", 1), Move("ends", 2), Move("axes", 3)],
    ("TopK", 10): [Move("k", 1)],
    ("Upsample", 9): [Move("scales", 1, DataType.FLOAT)],
    ("Dropout", 12): [Move("ratio", 1, like_data=True, scalar=True)],
}

UPGRADES: dict[Key, Adapter] = {}
DOWNGRADES: dict[Key, Adapter] = {}


def upgrade(version: int, *names: str) -> Callable[[Adapter], Adapter]:
    """Registers how operators come into a version."""

    def register(adapter: Adapter) -> Adapter:
        UPGRADES.update({(name, version): adapter for name in names})
        return adapter

    return register


def downgrade(version: int, *names: str) -> Callable[[Adapter], Adapter]:
    """Registers how operators leave a version for the one before."""

    def register(adapter: Adapter) -> Adapter:
        DOWNGRADES.update({(name, version): adapter for name in names})
        return adapter

    return register


def move_to_inputs(place: Place, moves: list[Move]) -> None:
    """Attributes as inputs."""
    inputs = list(place.node.inputs)
    for move in moves:
        value = place.attribute(move.attribute)
        if value is None:
            continue
        inputs += [None] * (move.index + 1 - len(inputs))
        dtype = place.dtype(place.input(0)) if move.like_data else move.dtype
        data = value if move.scalar else np.atleast_1d(value)
        inputs[move.index] = place.constant(data, dtype, move.attribute)
        del place.node.attributes[move.attribute]
    place.node.set_inputs(inputs)


def move_to_attributes(place: Place, moves: list[Move]) -> None:
    """Inputs as attributes; they must be constants."""
    inputs = list(place.node.inputs)
    for move in moves:
        value = inputs[move.index] if move.index < len(inputs) else None
        if value is None:
            continue
        data = place.constant_of(value).reshape(-1)
        numbers = data.astype(np.float64 if data.dtype.kind not in "iub" else np.int64).tolist()
        if move.like_data or move.dtype == DataType.FLOAT:
            numbers = [float(item) for item in numbers]
        single = move.scalar or move.attribute == "k"
        if single and len(numbers) != 1:
            raise CannotConvert(f"'{value.name}' has {len(numbers)} elements, and the attribute {move.attribute} has one")
        place.set_attribute(move.attribute, numbers[0] if single else numbers)
        inputs[move.index] = None
    while inputs and inputs[-1] is None:
        inputs.pop()
    place.node.set_inputs(inputs)


# -- broadcasting of version 7 ------------------------------------------------------------------------------------------
BINARY = ("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less")


@upgrade(7, *BINARY)
def broadcast_by_axis(place: Place) -> None:
    """Until version 6 the second input was laid over axes of the first from `axis` on."""
    left, right = place.input(0), place.input(1)
    axis = place.attribute("axis")
    if place.attribute("broadcast", 0) and axis is not None:
        trailing = place.rank(left) - (axis if axis >= 0 else axis + place.rank(left)) - place.rank(right)
        if trailing > 0:
            axes = list(range(place.rank(right), place.rank(right) + trailing))
            right = place.add("Unsqueeze", right, axes=axes)
            right.type = None
    place.become(place.op_type, left, right)


@downgrade(7, *BINARY)
def broadcast_as_before(place: Place) -> None:
    """Shapes that are equal need no broadcasting; a second input of the first's last axes is the old form of it."""
    left, right = place.input(0), place.input(1)
    if left.shape is None or right.shape is None:
        raise CannotConvert("the shapes of its inputs are not known, and version 6 broadcasts in fewer ways")
    if tuple(left.shape) == tuple(right.shape):
        place.become(place.op_type, left, right)
    elif tuple(left.shape)[len(left.shape) - len(right.shape) :] == tuple(right.shape):
        place.become(place.op_type, left, right, broadcast=1)
    else:
        raise CannotConvert(f"it broadcasts {list(left.shape)} with {list(right.shape)}, which version 6 does not")


@upgrade(7, "Gemm")
def gemm_broadcasts(place: Place) -> None:
    """`broadcast` ended; Gemm always broadcasts."""
    place.set_attribute("broadcast", None)


@downgrade(7, "Gemm")
def gemm_with_broadcast(place: Place) -> None:
    """Version 6 wants C, and to be told that it broadcasts."""
    place.input(2)
    place.set_attribute("broadcast", 1)


@downgrade(11, "Gemm")
def gemm_with_an_addend(place: Place) -> None:
    """C was no option."""
    if place.optional(2) is None:
        a = place.input(0)
        zero = place.constant([0], place.dtype(a), "C")
        place.become("Gemm", a, place.input(1), zero, **place.node.attributes)


@upgrade(7, "PRelu")
def slopes_per_channel(place: Place) -> None:
    """A slope for each channel was laid over axis 1; now it broadcasts from the right."""
    x, slope = place.input(0), place.input(1)
    extents = slope.shape
    if place.rank(x) > 2 and extents is not None and len(extents) == 1 and extents[0] != 1:
        axes = list(range(1, place.rank(x) - 1))
        place.become("PRelu", x, place.add("Unsqueeze", slope, axes=axes))


# -- inference and training ---------------------------------------------------------------------------------------------
@upgrade(7, "Dropout", "BatchNormalization")
def only_tested(place: Place) -> None:
    """`is_test` ended: from version 7 on these mean inference."""
    if not place.attribute("is_test", 0) and sum(bool(value.name) for value in place.node.outputs) > 1:
        raise CannotConvert("it is written for training (is_test = 0)")
    place.set_attribute("is_test", None)


@downgrade(7, "Dropout", "BatchNormalization")
def tested(place: Place) -> None:
    """Inference has to be asked for before version 7."""
    place.set_attribute("is_test", 1)


@upgrade(9, "BatchNormalization")
def spatial_moments(place: Place) -> None:
    """`spatial` ended: moments are always those of channels."""
    if not place.attribute("spatial", 1):
        raise CannotConvert("it has moments for each element (spatial = 0)")
    place.set_attribute("spatial", None)


@upgrade(14, "BatchNormalization")
def one_output(place: Place) -> None:
    """What training gave beside the result is there no more in this form."""
    if any(value.name and value.uses for value in place.node.outputs[1:]):
        raise CannotConvert("its outputs of training are used")
    place.node.drop_outputs(1)


@downgrade(14, "BatchNormalization")
def no_training_mode(place: Place) -> None:
    """Inference is the only mode of version 9."""
    if place.attribute("training_mode", 0):
        raise CannotConvert("it trains (training_mode = 1)")
    place.set_attribute("training_mode", None)


@upgrade(10, "Dropout")
@downgrade(10, "Dropout")
def dropout_mask(place: Place) -> None:
    """The mask was of the data's type and is boolean now."""
    if any(value.uses for value in place.node.outputs[1:]):
        raise CannotConvert("its mask is used, whose type changed in version 10")


@downgrade(12, "Dropout")
def dropout_ratio(place: Place) -> None:
    """The ratio is an attribute; training cannot be asked for."""
    mode = place.optional(2)
    if mode is not None and place.constant_of(mode).any():
        raise CannotConvert("it trains (training_mode is true)")
    place.node.set_inputs(place.node.inputs[:2])
    move_to_attributes(place, MOVES["Dropout", 12])
    place.set_attribute("seed", None)


# -- flattening of softmax ----------------------------------------------------------------------------------------------
SOFTMAX = ("Softmax", "LogSoftmax", "Hardmax")


@upgrade(13, *SOFTMAX)
def softmax_over_one_axis(place: Place) -> None:
    """Until version 11 all axes from `axis` on were one; the default was 1."""
    x, axis = place.input(0), place.attribute("axis", 1)
    rank = place.rank(x)
    axis = axis if axis >= 0 else axis + rank
    if axis == rank - 1:
        place.set_attribute("axis", -1)
        return
    shape = place.add("Shape", x, type=place.shape_type(rank))
    flat = place.add("Flatten", x, axis=axis)
    flat.type = None
    result = place.add(place.op_type, flat, axis=-1)
    place.become("Reshape", result, shape)


@downgrade(13, *SOFTMAX)
def softmax_over_last_axes(place: Place) -> None:
    """The last axis alone is the same in both; another one is brought there."""
    x, axis = place.input(0), place.attribute("axis", -1)
    rank = place.rank(x)
    axis = axis if axis >= 0 else axis + rank
    if axis == rank - 1:
        place.set_attribute("axis", rank - 1)
        return
    order = [*(item for item in range(rank) if item != axis), axis]
    moved = place.add("Transpose", x, perm=order)
    result = place.add(place.op_type, moved, axis=rank - 1)
    place.become("Transpose", result, perm=[order.index(item) for item in range(rank)])


# -- names and forms ----------------------------------------------------------------------------------------------------
@upgrade(6, "Cast")
def cast_to_number(place: Place) -> None:
    """Types were named by words."""
    place.set_attribute("to", int(DataType[place.attribute("to").upper()]))


@downgrade(6, "Cast")
def cast_to_word(place: Place) -> None:
    """Types are numbers since version 6."""
    place.set_attribute("to", DataType(place.attribute("to")).name)


@upgrade(4, "Concat")
def axis_of_concat(place: Place) -> None:
    """The default of `axis` ended."""
    if place.attribute("axis") is None:
        place.set_attribute("axis", 1)


@upgrade(2, "Pad")
def pads_of_pad(place: Place) -> None:
    """`paddings` became `pads`."""
    place.set_attribute("pads", place.attribute("paddings"))
    place.set_attribute("paddings", None)


@downgrade(2, "Pad")
def paddings_of_pad(place: Place) -> None:
    """`pads` was called `paddings`."""
    place.set_attribute("paddings", place.attribute("pads"))
    place.set_attribute("pads", None)


@upgrade(18, "Split")
def parts_of_split(place: Place) -> None:
    """Without sizes the number of parts has to be said."""
    if place.optional(1) is None:
        place.set_attribute("num_outputs", len(place.node.outputs))


@downgrade(18, "Split")
def equal_parts(place: Place) -> None:
    """Without sizes the parts were equal."""
    if place.optional(1) is None:
        x, axis = place.input(0), place.attribute("axis", 0)
        extent = x.shape[axis] if x.shape is not None else None
        if not isinstance(extent, int) or extent % len(place.node.outputs):
            raise CannotConvert("its parts may be unequal")
    place.set_attribute("num_outputs", None)


@downgrade(15, "Shape")
def part_of_a_shape(place: Place) -> None:
    """Version 13 gives all sizes."""
    start, end = place.attribute("start", 0), place.attribute("end")
    for name in ("start", "end"):
        place.set_attribute(name, None)
    if start or end is not None:
        x = place.input(0)
        sizes = place.add("Shape", x, type=place.shape_type(place.rank(x)))
        last = np.iinfo(np.int64).max if end is None else end
        place.become("Slice", sizes, place.constant([start], hint="start"), place.constant([last], hint="end"))


@downgrade(14, "Reshape")
def zeros_of_a_shape(place: Place) -> None:
    """Version 13 takes 0 for the size that the input has there, which is the same where nothing is 0."""
    sizes = place.input(1).tensor
    if sizes is not None and sizes.numpy().all():
        place.set_attribute("allowzero", None)


@upgrade(11, "Scatter")
def scatter_elements(place: Place) -> None:
    """Scatter is called ScatterElements."""
    place.become("ScatterElements", *place.node.inputs, **place.node.attributes)


@upgrade(10, "Upsample")
def resize_of_upsample(place: Place) -> None:
    """Upsample became Resize."""
    place.become("Resize", *place.node.inputs, **place.node.attributes)


@upgrade(7, "Upsample")
def scales_of_upsample(place: Place) -> None:
    """Two factors became one for each axis."""
    scales = [1.0, 1.0, place.attribute("height_scale"), place.attribute("width_scale")]
    for name in ("height_scale", "width_scale"):
        place.set_attribute(name, None)
    place.set_attribute("scales", scales)


@upgrade(11, "Resize")
def resize_as_before(place: Place) -> None:
    """What version 10 did is `asymmetric` with the floor in version 11."""
    x, scales = place.input(0), place.input(1)
    place.become(
        "Resize", x, place.constant([], DataType.FLOAT, "roi"), scales, mode=place.attribute("mode", "nearest"),
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip


@downgrade(11, "Resize")
def resize_by_scales(place: Place) -> None:
    """Version 10 knows one way to place the samples, and scales alone."""
    mode = place.attribute("mode", "nearest")
    nearest = mode == "nearest" and place.attribute("nearest_mode", "round_prefer_floor") != "floor"
    if place.attribute("coordinate_transformation_mode", "half_pixel") != "asymmetric" or nearest or mode == "cubic":
        raise CannotConvert("version 10 places samples 'asymmetric', with the floor")
    scales = place.optional(2)
    if scales is None or scales.tensor is not None and scales.tensor.numpy().size == 0:
        raise CannotConvert("version 10 takes scales, not sizes")
    place.become("Resize", place.input(0), scales, mode=mode)


@upgrade(13, "Resize")
@downgrade(13, "Resize")
def resize_13(place: Place) -> None:
    """Version 13 made inputs optional; one mode of coordinates ended."""
    if place.attribute("coordinate_transformation_mode") == "tf_half_pixel_for_nn":
        raise CannotConvert("its coordinate_transformation_mode 'tf_half_pixel_for_nn' ended with version 13")
    roi, scales = place.optional(1), place.optional(2)
    empty = [value or place.constant([], DataType.FLOAT, "empty") for value in (roi, scales)]
    place.node.set_inputs([place.input(0), *empty, *place.node.inputs[3:]])


@upgrade(16, "RoiAlign")
def roi_align_as_before(place: Place) -> None:
    """The default way to place samples changed."""
    if place.attribute("coordinate_transformation_mode") is None:
        place.set_attribute("coordinate_transformation_mode", "output_half_pixel")


@downgrade(16, "RoiAlign")
def roi_align_10(place: Place) -> None:
    """Version 10 places samples in one way."""
    if place.attribute("coordinate_transformation_mode", "half_pixel") != "output_half_pixel":
        raise CannotConvert("version 10 places samples by 'output_half_pixel'")
    place.set_attribute("coordinate_transformation_mode", None)


GRID_MODES = {"bilinear": "linear", "bicubic": "cubic"}


@upgrade(20, "GridSample")
def grid_modes(place: Place) -> None:
    """Modes got names that fit all ranks."""
    mode = place.attribute("mode", "bilinear")
    place.set_attribute("mode", GRID_MODES.get(mode, mode))


@downgrade(20, "GridSample")
def grid_modes_16(place: Place) -> None:
    """Version 16 is for pictures alone."""
    if place.rank(place.input(0)) != 4:
        raise CannotConvert("version 16 takes tensors with 4 axes")
    mode = place.attribute("mode", "linear")
    place.set_attribute("mode", {new: old for old, new in GRID_MODES.items()}.get(mode, mode))


@upgrade(20, "DFT")
def axis_of_dft(place: Place) -> None:
    """The axis became an input; its default changed."""
    axis = place.constant(place.attribute("axis", 1), hint="axis")
    place.become(
        "DFT", place.input(0), place.optional(1), axis, inverse=place.attribute("inverse", 0),
        onesided=place.attribute("onesided", 0),
    )  # fmt: skip


@downgrade(20, "DFT")
def axis_of_dft_17(place: Place) -> None:
    """The axis is an attribute."""
    axis = place.optional(2)
    number = -2 if axis is None else int(place.constant_of(axis).reshape(-1)[0])
    number = number if number >= 0 else number + place.rank(place.input(0))
    place.node.set_inputs(place.node.inputs[:2])
    place.set_attribute("axis", number)


@upgrade(21, "GroupNormalization")
def scales_of_channels(place: Place) -> None:
    """Scale and bias of groups became those of channels."""
    x, groups = place.input(0), place.attribute("num_groups")
    channels = x.shape[1] if x.shape is not None else None
    if not isinstance(channels, int):
        raise CannotConvert("its number of channels is not known")
    spread = place.constant([i // (channels // groups) for i in range(channels)], hint="group of channel")
    parameters = [place.add("Gather", place.input(index), spread, axis=0) for index in (1, 2)]
    place.become("GroupNormalization", x, *parameters, **place.node.attributes)


@downgrade(11, "TopK")
def greatest_in_order(place: Place) -> None:
    """Version 10 gives the greatest elements in order; asked for any order, it does no harm."""
    if not place.attribute("largest", 1):
        raise CannotConvert("it takes the least elements, which are there since version 11")
    place.set_attribute("largest", None)
    place.set_attribute("sorted", None)


@downgrade(12, "Constant")
def tensor_of_constant(place: Place) -> None:
    """Numbers stand in a tensor."""
    for name, kind in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64), ("value_ints", np.int64)):
        data = place.attribute(name)
        if data is not None:
            place.become("Constant", value=Tensor.of(np.array(data, kind)))
    for name in ("value_string", "value_strings"):
        if place.attribute(name) is not None:
            place.become("Constant", value=Tensor.of(np.array(place.attribute(name), object)))


@upgrade(7, "LSTM", "GRU", "RNN")
def all_outputs(place: Place) -> None:
    """`output_sequence` ended."""
    place.set_attribute("output_sequence", None)


@upgrade(6, "Tile")
def repeats_of_tile(place: Place) -> None:
    """A number of tiles along one axis became a number for each."""
    x = place.input(0)
    repeats = np.ones(place.rank(x), np.int64)
    repeats[int(place.constant_of(place.input(2)).item())] = int(place.constant_of(place.input(1)).item())
    place.become("Tile", x, place.constant(repeats, hint="repeats"))


@upgrade(9, "Scan")
def scan_of_a_batch(place: Place) -> None:
    """Version 8 scans every element of a batch."""
    raise CannotConvert("version 8 scans each element of a batch with states of its own, which version 9 does not")
