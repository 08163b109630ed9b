"""A builder of LLVM IR whose methods read like the pseudo-code of a loop nest.

    module = Module(target)
    b = module.function("scale", [("x", POINTER), ("count", I64)])
    x, count = b.arguments
    with b.loop(b.constant(I64, 0), count, b.constant(I64, 16)) as i:
        place = b.offset(x, i, F32)
        b.store(place, b.load(place, f32(16)) * b.splat(b.constant(F32, 2.0), 16))
    b.ret()
    text = module.text()

Values are in SSA form but for `variable`s, which are stack slots that the optimiser turns into registers. The text is
canonical: the same calls give the same text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from onward.compiler.bounds import Bounds
from onward.compiler.targets import Target
from onward.compiler.values import F32, I1, POINTER, Type, Value, Variable, folded, literal


class Module:
    """A module under construction: functions, declarations and constant data."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.functions: list[Builder] = []
        self.declarations: dict[str, str] = {}
        self.globals: dict[str, str] = {}
        self.attributes: list[str] = []

    def function(self, name: str, parameters: Sequence[tuple[str, Type]], result: Type | None = None, *, internal: bool = False) -> Builder:
        """Begins a function; the builder writes its body."""
        builder = Builder(self, name, parameters, result, internal)
        self.functions.append(builder)
        return builder

    def declare(self, name: str, parameters: Sequence[tuple[str, Type]] | Sequence[Type], result: Type | None = None) -> Value:
        """A function of another module, as a pointer that `call` takes."""
        types = [item if isinstance(item, Type) else item[1] for item in parameters]
        self.declarations.setdefault(name, f"declare {result or 'void'} @{name}({', '.join(map(str, types))})")
        return Value(self.functions[-1], POINTER, f"@{name}")

    def data(self, name: str, type: Type, values: Sequence[Any]) -> str:  # noqa: A002
        """A constant table; returns its global name."""
        items = ", ".join(f"{type} {literal(type, value)}" for value in values)
        self.globals.setdefault(name, f"@{name} = private unnamed_addr constant [{len(values)} x {type}] [{items}], align 64")
        return f"@{name}"

    def text(self) -> str:
        """The module as LLVM assembly."""
        defined = {function.name for function in self.functions}
        declared = [text for name, text in self.declarations.items() if name not in defined]
        parts = [*self.globals.values(), *(function.text() for function in self.functions), *sorted(declared)]
        return f'target triple = "{self.target.triple}"\n\n' + "\n\n".join(parts) + "\n"


class Builder:
    """Writes one function."""

    def __init__(self, module: Module, name: str, parameters: Sequence[tuple[str, Type]], result: Type | None, internal: bool) -> None:
        self.module = module
        self.target = module.target
        self.name = name
        self.result = result
        self.internal = internal
        self.parameters = list(parameters)
        self.arguments = [Value(self, kind, f"%{label}") for label, kind in parameters]
        self.entry_lines: list[str] = []
        self.lines: list[str] = []
        self.counter = 0
        self.block = "body"
        self.closed = False
        self._made: dict[str, Value] = {}
        """What the instructions of this basic block gave that depend on their operands alone: none of them is written twice."""
        self.bounds = Bounds(self) if module.target.checked else None

    def text(self) -> str:
        """The function as LLVM assembly."""
        parameters = ", ".join(f"{kind} %{label}" for label, kind in self.parameters)
        linkage = "internal " if self.internal else ""
        head = f"define {linkage}{self.result or 'void'} @{self.name}({parameters}) nounwind {{"
        return "\n".join([head, "entry:", *self.entry_lines, "  br label %body", "body:", *self.lines, "}"])

    # -- writing -----------------------------------------------------------------------------------------------
    def fresh(self, prefix: str = "t") -> str:
        """A new register name."""
        self.counter += 1
        return f"%{prefix}{self.counter}"

    def line(self, text: str) -> None:
        """An instruction without a result."""
        if self.closed:
            self.label(self.fresh("dead")[1:])
        self.lines.append(f"  {text}")

    def emit(self, type: Type, text: str) -> Value:  # noqa: A002
        """An instruction with a result."""
        if self.closed:
            self.label(self.fresh("dead")[1:])
        self.counter += 1
        name = f"%t{self.counter}"
        self.lines.append(f"  {name} = {text}")
        return Value(self, type, name)

    def pure(self, type: Type, text: str) -> Value:  # noqa: A002
        """The result of an instruction that depends on its operands alone; the earlier one where the basic block has it already."""
        found = None if self.closed else self._made.get(text)
        if found is None:
            found = self.emit(type, text)
            self._made[text] = found
        return found

    def label(self, name: str) -> None:
        """Begins a basic block."""
        self._made.clear()
        self.lines.append(f"{name}:")
        self.block = name
        self.closed = False

    def _branch(self, name: str) -> None:
        if not self.closed:
            self.line(f"br label %{name}")
        self.closed = True

    # -- constants and arithmetic ------------------------------------------------------------------------------
    def constant(self, type: Type, value: Any) -> Value:  # noqa: A002
        """A number, in every lane."""
        if type.lanes > 1:
            single = type.with_lanes(1)
            return Value(self, type, f"splat ({single.text} {literal(single, value)})")
        return Value(self, type, literal(type, value))

    def vector_constant(self, type: Type, values: Sequence[Any]) -> Value:  # noqa: A002
        """A vector of given numbers."""
        single = type.with_lanes(1)
        body = ", ".join([f"{single.text} {literal(single, value)}" for value in values])
        return Value(self, type, f"<{body}>")

    def iota(self, type: Type) -> Value:  # noqa: A002
        """0, 1, 2, ..."""
        if type.lanes == 1:
            return self.constant(type, 0)
        return self.vector_constant(type, range(type.lanes))

    def binary(self, instruction: str, left: Value, right: Value) -> Value:
        """A two-operand LLVM instruction, or what it gives where that is known."""
        assert left.type == right.type, f"{instruction} of {left.type} and {right.type}"
        known = folded(instruction, left, right)
        return known or self.pure(left.type, f"{instruction} {left.type.text} {left.name}, {right.name}")

    def unsigned_divide(self, left: Value, right: Value) -> Value:
        """Integer quotient of unsigned operands."""
        return self.binary("udiv", left, right)

    def unsigned_remainder(self, left: Value, right: Value) -> Value:
        """Integer remainder of unsigned operands."""
        return self.binary("urem", left, right)

    def divide(self, left: Value, right: Value) -> Value:
        """Quotient; signed for integers."""
        return left / right

    def remainder(self, left: Value, right: Value) -> Value:
        """Remainder with the dividend's sign."""
        return self.binary("frem" if left.type.is_float else "srem", left, right)

    def logical_shift_right(self, left: Value, right: Value) -> Value:
        """Shift that brings in zeros."""
        return self.binary("lshr", left, right)

    def bitwise_and(self, left: Value, right: Value) -> Value:
        """Bitwise and."""
        return self.binary("and", left, right)

    def bitwise_or(self, left: Value, right: Value) -> Value:
        """Bitwise or."""
        return self.binary("or", left, right)

    def invert(self, value: Value) -> Value:
        """All bits flipped."""
        return self.binary("xor", value, self.constant(value.type, 1 if value.type.kind == "i1" else -1))

    def compare(self, predicate: str, left: Value, right: Value, *, unsigned: bool = False) -> Value:
        """eq, ne, lt, le, gt, ge: signed, or ordered for floats (ne is true for NaN)."""
        assert left.type == right.type, f"compare {left.type} with {right.type}"
        if left.type.is_float:
            name = "une" if predicate == "ne" else f"o{predicate}"
            return self.pure(Type("i1", left.type.lanes), f"fcmp {name} {left.type} {left}, {right}")
        name = predicate if predicate in ("eq", "ne") else ("u" if unsigned else "s") + predicate
        return self.pure(Type("i1", left.type.lanes), f"icmp {name} {left.type} {left}, {right}")

    def unsigned_less(self, left: Value, right: Value) -> Value:
        """left < right as unsigned integers."""
        return self.compare("lt", left, right, unsigned=True)

    def unordered(self, left: Value, right: Value) -> Value:
        """Whether either is NaN."""
        return self.pure(Type("i1", left.type.lanes), f"fcmp uno {left.type} {left}, {right}")

    def select(self, condition: Value, then: Value, otherwise: Value) -> Value:
        """then where the condition holds, lane by lane."""
        assert then.type == otherwise.type, f"select of {then.type} and {otherwise.type}"
        return self.pure(then.type, f"select {condition.type} {condition}, {then.type} {then}, {otherwise.type} {otherwise}")

    def fma(self, left: Value, right: Value, addend: Value) -> Value:
        """left * right + addend, rounded once where the target has the instruction, twice where it has not."""
        if not self.target.has_fma:
            return left * right + addend
        return self.intrinsic(f"llvm.fma.{left.type.mangled}", left.type, left, right, addend)

    def unary_intrinsic(self, name: str, value: Value) -> Value:
        """llvm.<name> of one value."""
        return self.intrinsic(f"llvm.{name}.{value.type.mangled}", value.type, value)

    def sqrt(self, value: Value) -> Value:
        """Correctly rounded square root."""
        return self.unary_intrinsic("sqrt", value)

    def floor(self, value: Value) -> Value:
        """Largest integer not above."""
        return self.unary_intrinsic("floor", value)

    def ceil(self, value: Value) -> Value:
        """Smallest integer not below."""
        return self.unary_intrinsic("ceil", value)

    def truncate(self, value: Value) -> Value:
        """Rounded towards zero."""
        return self.unary_intrinsic("trunc", value)

    def round_even(self, value: Value) -> Value:
        """Nearest integer, halves to even."""
        return self.unary_intrinsic("roundeven", value)

    def absolute(self, value: Value) -> Value:
        """Absolute value of a float."""
        return self.unary_intrinsic("fabs", value)

    def copysign(self, magnitude: Value, sign: Value) -> Value:
        """magnitude with the sign of the other."""
        return self.intrinsic(f"llvm.copysign.{magnitude.type.mangled}", magnitude.type, magnitude, sign)

    # -- conversions -------------------------------------------------------------------------------------------
    def cast(self, value: Value, kind: Type, *, signed: bool = True) -> Value:
        """Conversion between number types of equal lanes. Float to integer must be in range."""
        source = value.type
        kind = kind.with_lanes(source.lanes)
        if source == kind:
            return value
        if source.is_float and kind.is_float:
            if source.bits == kind.bits:  # f16 <-> bf16 by way of f32
                return self.cast(self.cast(value, F32), kind)
            return self._cast_float(value, kind)
        if source.is_float and source.bits == 16:
            return self.cast(self.cast(value, F32), kind, signed=signed)
        if kind.is_float and kind.bits == 16:
            return self.cast(self.cast(value, F32, signed=signed), kind)
        if source.is_float:
            return self._convert("fptosi" if signed else "fptoui", value, kind)
        if kind.is_float:
            return self._convert("sitofp" if signed and source.kind != "i1" else "uitofp", value, kind)
        if source.bits > kind.bits:
            return self._convert("trunc", value, kind)
        return self._convert("sext" if signed and source.kind != "i1" else "zext", value, kind)

    def _cast_float(self, value: Value, kind: Type) -> Value:
        from onward.compiler import narrowing

        source, target = value.type, self.target
        if source.kind == "f64" and kind.bits == 16:
            return self.cast(self.cast(value, F32) if kind.kind == "bf16" else narrowing.odd_float_of(self, value), kind)
        if kind.kind == "bf16" and not target.has_bfloat16:
            return narrowing.bfloat16_of(self, value)
        if kind.kind == "f16" and not target.has_float16:
            return narrowing.half_of(self, value)
        if source.kind == "bf16":  # as bits: an fpext would let LLVM compute in bfloat, which needs a library
            bits = self.cast(self.bitcast(value, Type("i16", source.lanes)), Type("i32", source.lanes), signed=False)
            wide = self.bitcast(bits << self.constant(bits.type, 16), Type("f32", source.lanes))
            return self.cast(wide, kind)
        if source.kind == "f16" and not target.has_float16:
            wide = narrowing.float_of_half(self, value)
            return self.cast(wide, kind)
        return self._convert("fpext" if source.bits < kind.bits else "fptrunc", value, kind)

    def bitcast(self, value: Value, kind: Type) -> Value:
        """The same bits as another type."""
        if value.type == kind:
            return value
        if kind.kind == "ptr":
            return self._convert("inttoptr", value, kind)
        if value.type.kind == "ptr":
            return self._convert("ptrtoint", value, kind)
        return self._convert("bitcast", value, kind)

    def _convert(self, instruction: str, value: Value, kind: Type) -> Value:
        return self.pure(kind, f"{instruction} {value.type} {value} to {kind}")

    def opaque(self, value: Value) -> Value:
        """The same value, of which loop optimisations know nothing: addresses derived from it stay constant offsets."""
        return self.emit(value.type, f"freeze {value.type} {value}")

    # -- vectors -----------------------------------------------------------------------------------------------
    def splat(self, value: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if lanes == 1 or value.type.lanes == lanes:
            return value
        if not value.name.startswith("%"):
            kind = value.type.with_lanes(lanes)
            return Value(self, kind, f"splat ({value.type.text} {value.name})")
        kind = value.type.with_lanes(lanes)
        single = self.pure(kind, f"insertelement {kind} poison, {value.type} {value}, i64 0")
        return self.pure(kind, f"shufflevector {kind} {single}, {kind} poison, <{lanes} x i32> zeroinitializer")

    def extract(self, vector: Value, lane: int) -> Value:
        """One lane."""
        if vector.type.lanes == 1:
            return vector
        return self.pure(vector.type.with_lanes(1), f"extractelement {vector.type} {vector}, i64 {lane}")

    def insert(self, vector: Value, value: Value, lane: int) -> Value:
        """The vector with one lane replaced."""
        return self.pure(vector.type, f"insertelement {vector.type} {vector}, {value.type} {value}, i64 {lane}")

    def shuffle(self, left: Value, right: Value, lanes: Sequence[int]) -> Value:
        """Lanes picked from the concatenation of two vectors; one lane gives a scalar."""
        if len(lanes) == 1:
            source, lane = (left, lanes[0]) if lanes[0] < left.type.lanes else (right, lanes[0] - left.type.lanes)
            return self.extract(source, lane)
        picks = ", ".join(f"i32 {lane}" for lane in lanes)
        return self.pure(
            left.type.with_lanes(len(lanes)),
            f"shufflevector {left.type} {left}, {right.type} {right}, <{len(lanes)} x i32> <{picks}>",
        )

    def interleave(self, vectors: Sequence[Value]) -> list[Value]:
        """The first lanes of all vectors, then the second ones, and so on, as as many vectors: each made of two at a time, as processors do it."""
        lanes, count = vectors[0].type.lanes, len(vectors)
        woven = []
        for first in range(0, lanes * count, lanes):
            origins = [divmod(place, count) for place in range(first, first + lanes)]
            vector = vectors[0]
            for number, part in enumerate(vectors[1:], 1):
                before = range(lanes) if number > 1 else [lane for lane, _ in origins]
                vector = self.shuffle(vector, part, [lanes + lane if origin == number else own for (lane, origin), own in zip(origins, before)])
            woven.append(vector)
        return woven

    def reduce(self, operation: str, vector: Value) -> Value:
        """All lanes of an integer or i1 vector as one: and, or, add, max, min (signed)."""
        if vector.type.lanes == 1:
            return vector
        name = {"max": "smax", "min": "smin"}.get(operation, operation)
        return self.intrinsic(f"llvm.vector.reduce.{name}.{vector.type.mangled}", vector.type.with_lanes(1), vector)

    # -- memory ------------------------------------------------------------------------------------------------
    def offset(self, pointer: Value, index: Value, kind: Type) -> Value:
        """The address of element `index` of an array of `kind`."""
        result = self.pure(POINTER, f"getelementptr inbounds {kind}, ptr {pointer}, {index.type} {index}")
        if self.bounds is not None:
            self.bounds.follow(pointer, result)
        return result

    def load(
        self, pointer: Value, kind: Type, alignment: int | None = None, mask: Value | None = None,
        *, invariant: bool = False, volatile: bool = False,
    ) -> Value:  # fmt: skip
        """A value from memory; lanes outside the mask are zero and not touched."""
        if kind.kind == "bf16":  # processors without such numbers take them for calls of a library
            bits = self.load(pointer, Type("i16", kind.lanes), alignment, mask, invariant=invariant, volatile=volatile)
            return self.bitcast(bits, kind)
        alignment = alignment or max(1, kind.bits // 8)
        if self.bounds is not None:
            self.bounds.check(pointer, kind, mask)
        if mask is not None:
            zero = self.constant(kind, 0)
            name = f"llvm.masked.load.{kind.mangled}.p0"
            self.module.declarations.setdefault(name, f"declare {kind} @{name}(ptr, i32 immarg, {mask.type}, {kind})")
            return self.emit(kind, f"call {kind} @{name}(ptr {pointer}, i32 {alignment}, {mask.type} {mask}, {kind} {zero})")
        tail = ", !invariant.load !{}" if invariant else ""
        return self.emit(kind, f"load {'volatile ' if volatile else ''}{kind}, ptr {pointer}, align {alignment}{tail}")

    def store(
        self, pointer: Value, value: Value, alignment: int | None = None, mask: Value | None = None, *, streaming: bool = False,
    ) -> None:  # fmt: skip
        """A value to memory; lanes outside the mask are not touched. `streaming` stores without a mask go past the caches."""
        kind = value.type
        if kind.kind == "bf16":
            self.store(pointer, self.bitcast(value, Type("i16", kind.lanes)), alignment, mask, streaming=streaming)
            return
        alignment = alignment or max(1, kind.bits // 8)
        if self.bounds is not None:
            self.bounds.check(pointer, kind, mask)
        if mask is not None:
            name = f"llvm.masked.store.{kind.mangled}.p0"
            self.module.declarations.setdefault(name, f"declare void @{name}({kind}, ptr, i32 immarg, {mask.type})")
            self.line(f"call void @{name}({kind} {value}, ptr {pointer}, i32 {alignment}, {mask.type} {mask})")
            return
        tail = ", !nontemporal !{i32 1}" if streaming else ""
        self.line(f"store {kind} {value}, ptr {pointer}, align {alignment}{tail}")

    def _addresses(self, pointer: Value, indices: Value, kind: Type) -> Value:
        addresses = Type("ptr", indices.type.lanes)
        return self.pure(addresses, f"getelementptr inbounds {kind}, ptr {pointer}, {indices.type} {indices}")

    def gather(self, pointer: Value, indices: Value, kind: Type, mask: Value | None = None) -> Value:
        """Elements pointer[indices] of type `kind` (a scalar type); lanes outside the mask are zero."""
        lanes = indices.type.lanes
        if kind.kind == "bf16":
            return self.bitcast(self.gather(pointer, indices, Type("i16"), mask), kind.with_lanes(lanes))
        vector = kind.with_lanes(lanes)
        if self.bounds is not None:
            self.bounds.check_each(pointer, indices, kind, mask)
        places = self._addresses(pointer, indices, kind)
        mask = mask or self.constant(Type("i1", lanes), 1)
        name = f"llvm.masked.gather.{vector.mangled}.v{lanes}p0"
        self.module.declarations.setdefault(name, f"declare {vector} @{name}(<{lanes} x ptr>, i32 immarg, <{lanes} x i1>, {vector})")
        zero = self.constant(vector, 0)
        return self.emit(
            vector,
            f"call {vector} @{name}({places.type} {places}, i32 {max(1, kind.bits // 8)}, {mask.type} {mask}, {vector} {zero})",
        )

    def scatter(self, pointer: Value, indices: Value, value: Value, mask: Value | None = None) -> None:
        """Stores each lane at pointer[indices]."""
        lanes = indices.type.lanes
        if value.type.kind == "bf16":
            self.scatter(pointer, indices, self.bitcast(value, Type("i16", lanes)), mask)
            return
        kind = value.type.with_lanes(1)
        if self.bounds is not None:
            self.bounds.check_each(pointer, indices, kind, mask)
        places = self._addresses(pointer, indices, kind)
        mask = mask or self.constant(Type("i1", lanes), 1)
        name = f"llvm.masked.scatter.{value.type.mangled}.v{lanes}p0"
        self.module.declarations.setdefault(name, f"declare void @{name}({value.type}, <{lanes} x ptr>, i32 immarg, <{lanes} x i1>)")
        self.line(f"call void @{name}({value.type} {value}, {places.type} {places}, i32 {max(1, kind.bits // 8)}, {mask.type} {mask})")

    def allocate_stack(self, kind: Type, count: int, alignment: int = 64) -> Value:
        """Memory that lives as long as the function's call."""
        name = self.fresh("stack")
        self.entry_lines.append(f"  {name} = alloca [{count} x {kind}], align {alignment}")
        return Value(self, POINTER, name)

    def variable(self, initial: Value) -> Variable:
        """A mutable local that starts as `initial`."""
        variable = Variable(self, initial.type)
        variable.set(initial)
        return variable

    def prefetch(self, pointer: Value, locality: int = 2, *, write: bool = False) -> None:
        """Asks for a cache line; locality 3 is the first level, 2 the second."""
        name = "llvm.prefetch.p0"
        self.module.declarations.setdefault(name, f"declare void @{name}(ptr, i32 immarg, i32 immarg, i32 immarg)")
        self.line(f"call void @{name}(ptr {pointer}, i32 {int(write)}, i32 {locality}, i32 1)")

    # -- atomics -----------------------------------------------------------------------------------------------
    def atomic_load(self, pointer: Value, kind: Type, ordering: str = "acquire") -> Value:
        """An atomic load."""
        return self.emit(kind, f"load atomic {kind}, ptr {pointer} {ordering}, align {kind.bits // 8}")

    def atomic_store(self, pointer: Value, value: Value, ordering: str = "release") -> None:
        """An atomic store."""
        self.line(f"store atomic {value.type} {value}, ptr {pointer} {ordering}, align {value.type.bits // 8}")

    def atomic_update(self, operation: str, pointer: Value, value: Value, ordering: str = "acq_rel") -> Value:
        """Atomic read-modify-write (add, sub, xchg, ...); gives the old value."""
        return self.emit(value.type, f"atomicrmw {operation} ptr {pointer}, {value.type} {value} {ordering}")

    def compare_exchange(self, pointer: Value, expected: Value, value: Value, ordering: str = "acq_rel") -> Value:
        """Stores `value` if memory holds `expected`; whether it did."""
        kind = value.type
        name = self.fresh()
        self.line(f"{name} = cmpxchg ptr {pointer}, {kind} {expected}, {kind} {value} {ordering} acquire")
        return self.emit(I1, f"extractvalue {{ {kind}, i1 }} {name}, 1")

    def fence(self, ordering: str = "seq_cst") -> None:
        """A memory fence."""
        self.line(f"fence {ordering}")

    # -- control -----------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def loop(self, begin: Value, end: Value, step: Value | None = None, condition: Callable[[], Value] | None = None) -> Iterator[Value]:
        """for i in range(begin, end, step), i64; a condition that no longer holds before a turn ends it."""
        kind = begin.type
        step = step if step is not None else self.constant(kind, 1)
        head, body, done = (self.fresh(prefix)[1:] for prefix in ("head", "loop", "done"))
        counter = self.fresh("i")
        following = self.fresh("next")
        before = self.block
        position = len(self.lines) + 1
        self._branch(head)
        self.label(head)
        self.lines.append("")  # the phi, written when the last block of the body is known
        position = len(self.lines) - 1
        value = Value(self, kind, counter)
        inside = value < end if condition is None else self.bitwise_and(value < end, condition())
        self.line(f"br i1 {inside}, label %{body}, label %{done}")
        self.label(body)
        yield value
        self.line(f"{following} = add {kind} {counter}, {step}")
        last = self.block
        self._branch(head)
        self.lines[position] = f"  {counter} = phi {kind} [ {begin}, %{before} ], [ {following}, %{last} ]"
        self.label(done)

    @contextlib.contextmanager
    def repeat(self, condition: Callable[[], Value]) -> Iterator[None]:
        """while condition(): ...; the condition is written once, at the loop's head."""
        head, body, done = (self.fresh(prefix)[1:] for prefix in ("head", "loop", "done"))
        self._branch(head)
        self.label(head)
        holds = condition()
        self.line(f"br i1 {holds}, label %{body}, label %{done}")
        self.label(body)
        yield
        self._branch(head)
        self.label(done)

    @contextlib.contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """if condition: ..."""
        then, done = self.fresh("then")[1:], self.fresh("done")[1:]
        self.line(f"br i1 {condition}, label %{then}, label %{done}")
        self.label(then)
        yield
        self._branch(done)
        self.label(done)

    @contextlib.contextmanager
    def if_else(self, condition: Value) -> Iterator[tuple[Any, Any]]:
        """with b.if_else(c) as (then, otherwise): with then: ... with otherwise: ..."""
        names = [self.fresh(prefix)[1:] for prefix in ("then", "else", "done")]
        self.line(f"br i1 {condition}, label %{names[0]}, label %{names[1]}")

        @contextlib.contextmanager
        def branch(name: str) -> Iterator[None]:
            self.label(name)
            yield
            self._branch(names[2])

        yield branch(names[0]), branch(names[1])
        self.label(names[2])

    def call(self, function: Value | str, *arguments: Value, result: Type | None = None) -> Value | None:
        """Calls a function of this module or a declared one."""
        callee = function if isinstance(function, str) else str(function)
        return self._call(callee if callee.startswith(("@", "%")) else f"@{callee}", result, arguments)

    def call_pointer(self, pointer: Value, result: Type | None, arguments: Sequence[Value]) -> Value:
        """Calls through a pointer."""
        value = self._call(str(pointer), result, arguments)
        return value if value is not None else pointer

    def _call(self, callee: str, result: Type | None, arguments: Sequence[Value]) -> Value | None:
        listed = ", ".join([f"{argument.type.text} {argument.name}" for argument in arguments])
        if result is None:
            self.line(f"call void {callee}({listed})")
            return None
        return self.emit(result, f"call {result} {callee}({listed})")

    def intrinsic(self, name: str, result: Type | None, *arguments: Value) -> Value:
        """Calls an LLVM intrinsic by its full name."""
        if name not in self.module.declarations:
            self.module.declarations[name] = f"declare {result or 'void'} @{name}({', '.join([argument.type.text for argument in arguments])})"
        value = self._call(f"@{name}", result, arguments)
        return value if value is not None else Value(self, POINTER, "null")

    def comment(self, text: str) -> None:
        """A comment in the text."""
        self.lines.append(f"  ; {text}")

    def ret(self, value: Value | None = None) -> None:
        """Leaves the function."""
        self.line("ret void" if value is None else f"ret {value.type} {value}")
        self.closed = True
