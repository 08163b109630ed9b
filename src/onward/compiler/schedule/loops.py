"""The loops of a contraction, as few as there can be: which walk the batch, rows, columns and the reduction."""

from __future__ import annotations

from collections.abc import Sequence

from onward.compiler.layout import LayoutPlanner
from onward.compiler.rewrite import substitute
from onward.compiler.roots import Root
from onward.ir.expressions import Dimension, Expression, Symbol
from onward.ir.expressions import substitute as substitute_index
from onward.program.scalar import IndexValue, Read


class ContractionLoops:
    """A contraction without loops of one turn; neighbours that walk all memory as one are one.

    `batch`, `rows` and `inner` are variables, the innermost last, as `column` is; `extents` has how many turns each makes. Both
    operands, the `body` of an element and the `variables` of its place are written in them. The run may know that there is a `single_row`.
    """

    def __init__(self, root: Root, layouts: LayoutPlanner, *, single_row: bool = False) -> None:
        contraction = root.contraction
        assert contraction is not None
        self.root, self.layouts = root, layouts
        self.left, self.right = contraction.left, contraction.right
        self.body = root.body
        self.variables: tuple[Dimension, ...] = root.variables
        pairs = zip((*root.variables, *root.reduction), (*root.shape, *root.extents))
        self.extents = {str(variable): extent for variable, extent in pairs} | ({str(row): 1 for row in contraction.rows} if single_row else {})
        self._drop_units()
        order = layouts.orders.get(root.array) or range(len(root.variables))
        placed = [self.variables[axis] for axis in order]
        rank = {str(place): position for position, place in enumerate(placed)}
        self.batch = self._kept(contraction.batch, rank)
        self.rows = self._merged(self._kept(contraction.rows, rank), with_right=True)
        columns = self._kept(contraction.columns, rank)
        *others, self.column = self._merged(columns, with_right=True) or [Symbol("column@", 0, 0)]
        self.extents.setdefault(str(self.column), 1)
        self.batch += others
        self.inner = self._reduction()

    def _drop_units(self) -> None:
        self._rename({name: 0 for name, extent in self.extents.items() if extent == 1})

    def _kept(self, variables: Sequence[Expression], rank: dict[str, int]) -> list[Expression]:
        kept = [variable for variable in variables if self.extents.get(str(variable), 1) != 1]
        return sorted(kept, key=lambda variable: rank.get(str(variable), 0))

    def _rename(self, mapping: dict[str, Dimension]) -> None:
        if not mapping:
            return
        for name in mapping:
            self.extents.pop(name, None)
        self.body = substitute(self.body, mapping)
        self.left, self.right = (substitute(read, mapping) for read in (self.left, self.right))  # type: ignore[assignment]
        self.variables = tuple(substitute_index(place, mapping) for place in self.variables)

    def _addresses(self, with_right: bool) -> list[Dimension]:
        reads = [read for read in self.body.reads() if read.array is not self.root.reduce]
        reads += [self.left, self.right] if with_right else [self.left]
        found = [self.layouts.view(read.array).address(read.indices) for read in reads]
        found.append(self.layouts.view(self.root.array).address(self.variables))
        found += [item.expression for item in self.body.walk() if isinstance(item, IndexValue)]
        return found

    def _merged(self, variables: list[Expression], *, with_right: bool) -> list[Expression]:
        """Neighbouring loops that walk all memory as one become one."""
        result: list[Expression] = []
        for variable in variables:
            while result and self._mergeable(result[-1], variable, self._addresses(with_right)):
                variable = self._merge(result.pop(), variable)
            result.append(variable)
        return result

    def _mergeable(self, outer: Expression, inner: Expression, addresses: Sequence[Dimension]) -> bool:
        extent = self.extents[str(inner)]
        for address in addresses:
            if isinstance(address, Expression):
                left, right = address.coefficient(outer), address.coefficient(inner)
                if left is None or right is None or left != right * extent:
                    return False
        return True

    def _merge(self, outer: Expression, inner: Expression) -> Expression:
        extent = self.extents[str(outer)] * self.extents[str(inner)]
        merged = Symbol(f"{outer}_{inner}", 0, extent - 1)
        self._rename({str(outer): 0, str(inner): merged})
        self.extents[str(merged)] = extent
        return merged

    def _reduction(self) -> list[Expression]:
        """The reduction loops, longest strides of the left operand outermost; packing follows the same order."""
        kept = [variable for variable in self.root.reduction if self.extents.get(str(variable), 1) != 1]
        steps = {str(variable): self._step(self.left, variable) for variable in kept}
        if all(isinstance(step, int) for step in steps.values()):
            kept = sorted(kept, key=lambda variable: -int(steps[str(variable)]))  # type: ignore[arg-type]
        return kept

    def _step(self, read: Read, variable: Expression) -> Dimension:
        address = self.layouts.view(read.array).address(read.indices)
        step = address.coefficient(variable) if isinstance(address, Expression) else 0
        assert step is not None
        return step
