"""Making, changing and reading sequences. Lengths and positions must be known before the run."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.operators.arguments import known_integer, known_integers
from onward.operators.movement.split import split
from onward.operators.registry import Context, operator

Sequence = list[P.Array]


@operator("SequenceEmpty", since=11)
def sequence_empty(*, dtype: int = 1) -> Sequence:
    """A sequence of no tensors. ONNX SequenceEmpty-11."""
    return []


@operator("SequenceConstruct", since=11)
def sequence_construct(*inputs: P.Array) -> Sequence:
    """A sequence of the inputs. ONNX SequenceConstruct-11."""
    return list(inputs)


@operator("SequenceInsert", since=11)
def sequence_insert(sequence: Sequence, tensor: P.Array, position: P.Array | None) -> Sequence:
    """The sequence with `tensor` before `position`, at the end without one. ONNX SequenceInsert-11."""
    place = len(sequence) if position is None else _position(sequence, position, len(sequence))
    return [*sequence[:place], tensor, *sequence[place:]]


@operator("SequenceErase", since=11)
def sequence_erase(sequence: Sequence, position: P.Array | None) -> Sequence:
    """The sequence without the tensor at `position`, the last one by default. ONNX SequenceErase-11."""
    place = len(sequence) - 1 if position is None else _position(sequence, position, len(sequence) - 1)
    return [*sequence[:place], *sequence[place + 1 :]]


@operator("SequenceAt", since=11)
def sequence_at(sequence: Sequence, position: P.Array) -> P.Array:
    """The tensor at `position`. ONNX SequenceAt-11."""
    return sequence[_position(sequence, position, len(sequence) - 1)]


@operator("SequenceLength", since=11)
def sequence_length(sequence: Sequence) -> P.Array:
    """The number of tensors, an int64 scalar. ONNX SequenceLength-11."""
    return P.reshape(P.dimensions_array([len(sequence)]), ())


@operator("ConcatFromSequence", since=11)
def concat_from_sequence(sequence: Sequence, *, axis: int, new_axis: int = 0) -> P.Array:
    """The tensors one after another along `axis`, which is a new one if `new_axis`. ONNX ConcatFromSequence-11."""
    if not sequence:
        raise InvalidArgument("a sequence of no tensors cannot be concatenated")
    if not new_axis:
        return P.concatenate(sequence, P.normalize_axis(axis, sequence[0].rank))
    place = P.normalize_axis(axis, sequence[0].rank + 1)
    return P.concatenate([P.expand_axes(tensor, [place]) for tensor in sequence], place)


@operator("SplitToSequence", since=11)
def split_to_sequence(data: P.Array, sizes: P.Array | None, *, axis: int = 0, keepdims: int = 1, context: Context) -> Sequence:
    """Parts along `axis`: of one size (a scalar), of given sizes, or of one element. ONNX SplitToSequence-11."""
    place = P.normalize_axis(axis, data.rank)
    extent = data.shape[place]
    if sizes is not None and sizes.rank:
        return list(split(data, sizes, axis=place, context=context))
    if not isinstance(extent, int):
        raise UnsupportedOperator(f"axis {axis} of {data} has no known extent, so the sequence has no known length")
    step = 1 if sizes is None else known_integer(sizes, "the size of SplitToSequence")
    numbers = [min(step, extent - start) for start in range(0, extent, step)]
    parts = list(split(data, P.dimensions_array(numbers), axis=place, context=context))
    return parts if keepdims or sizes is not None else [P.squeeze_axes(part, [place]) for part in parts]


def _position(sequence: Sequence, position: P.Array, last: int) -> int:
    (place,) = known_integers(position, "a position in a sequence")
    if not -len(sequence) <= place <= last:
        raise InvalidArgument(f"position {place} is outside a sequence of {len(sequence)} tensors")
    return place + len(sequence) if place < 0 else place
