"""Native code of the routines: one page each, under the name it has in `program/routines.py`."""

from __future__ import annotations

from onward.compiler.routines.bit_cast import bit_cast
from onward.compiler.routines.cumulative import cumulative
from onward.compiler.routines.non_max_suppression import non_max_suppression
from onward.compiler.routines.non_zero import non_zero
from onward.compiler.routines.pairwise_coupling import pairwise_coupling
from onward.compiler.routines.read_sizes import read_sizes
from onward.compiler.routines.scatter import scatter
from onward.compiler.routines.top_k import top_k
from onward.compiler.routines.trees import tree_ensemble
from onward.compiler.schedule.imperative import Page

ROUTINES: dict[str, Page] = {
    "bit_cast": bit_cast,
    "cumulative": cumulative,
    "non_max_suppression": non_max_suppression,
    "non_zero": non_zero,
    "pairwise_coupling": pairwise_coupling,
    "read_sizes": read_sizes,
    "scatter": scatter,
    "top_k": top_k,
    "tree_ensemble": tree_ensemble,
}
"""name -> the function that writes the routine's kernels, in order of execution"""
