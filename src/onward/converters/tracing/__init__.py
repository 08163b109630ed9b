"""NumPy code as an ONNX graph: a function of arrays is called with arrays that write down what is done with them.

`Array` looks like a NumPy array whose number of rows is unknown: ufuncs and functions of NumPy that meet one add nodes to a
graph (`ufuncs.py`, `functions.py`, one function each), with NumPy's own rules for data types. What needs the data themselves,
as a branch on a value does, raises `UnsupportedOperator` and names the line.
"""

from onward.converters.tracing import columns, functions, ufuncs  # noqa: F401 (register what can be traced)
from onward.converters.tracing.array import Array, RowCount, Trace, as_array
from onward.converters.tracing.frame import Frame, joined, series
from onward.converters.tracing.loops import repeat
from onward.converters.tracing.patches import replaced

__all__ = ["Array", "Frame", "RowCount", "Trace", "as_array", "joined", "repeat", "replaced", "series"]
