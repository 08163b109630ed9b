"""The tensor program: a small pure language in which every operator is defined.

An `Array` has a shape (with symbolic extents), a dtype and a definition. Operator pages read like NumPy:

    e = P.exp(x - P.max(x, [axis], keepdims=True))
    return e / P.sum(e, [axis], keepdims=True)

or like the index expressions of a textbook:

    P.reduce("sum", (m, n), (k,), lambda i, j, k: a[i, k] * b[k, j])
"""

from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Symbol, ceiling_divide, product
from onward.ir.expressions import maximum as maximum_dimension
from onward.ir.expressions import minimum as minimum_dimension
from onward.program.array import (
    Array,
    Compute,
    Concatenate,
    Constant,
    Input,
    Parameter,
    Reduce,
    Reshape,
    Routine,
    RoutineOutput,
    Shape,
    compute,
    fresh_symbol,
    reduce,
    routine,
)
from onward.program.evaluate import evaluate
from onward.program.functions import *  # noqa: F403 (the functions are the language)
from onward.program.functions import max, min, slice, sum  # noqa: A004 (NumPy's names)
from onward.program.guards import Guard, require_at_least, require_equal
from onward.program.recurrence import recurrence
from onward.program.scalar import Scalar, index, scalar
from onward.program.trees import Trees
