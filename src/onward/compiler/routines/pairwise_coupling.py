"""pairwise_coupling: probabilities of classes from those of each pair."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.schedule.imperative import Imperative
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.targets import Target
from onward.compiler.values import F32, Value
from onward.program.array import Routine
from onward.program.routines import COUPLING_ROUNDS, coupling_tolerance


def pairwise_coupling(routine: Routine, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """One block for each row; the iteration of Wu, Lin and Weng 2004 on the stack."""
    (pairs,), (result,) = routine.inputs, routine.results
    classes = result.shape[1]
    assert isinstance(classes, int)
    k = Imperative(layouts, target, [pairs], [result], blocks=result.shape[0])
    b = k.b
    count, zero = k.number(classes), b.constant(F32, 0.0)
    matrix = b.allocate_stack(F32, classes * classes)
    product, chance = b.allocate_stack(F32, classes), b.allocate_stack(F32, classes)
    total, error, rounds = b.variable(zero), b.variable(zero), b.variable(k.number(0))

    def at(memory: Value, place: Value) -> Value:
        return b.offset(memory, place, F32)

    def load(memory: Value, place: Value) -> Value:
        return b.load(at(memory, place), F32)

    with k.each_block() as row:
        with b.loop(k.number(0), count) as t:
            b.store(at(chance, t), b.constant(F32, 1.0 / classes))
            b.store(at(matrix, t * count + t), zero)
            with b.loop(k.number(0), count) as j, b.when(t != j):
                lost = k.read(pairs, row, j, t)
                diagonal = at(matrix, t * count + t)
                b.store(diagonal, b.load(diagonal, F32) + lost * lost)
                b.store(at(matrix, t * count + j), -(lost * k.read(pairs, row, t, j)))
        rounds.set(k.number(0))
        error.set(b.constant(F32, 1.0))

        def goes_on() -> Value:
            unfinished = error.get() >= b.constant(F32, coupling_tolerance(classes))
            return b.bitwise_and(unfinished, rounds.get() < k.number(COUPLING_ROUNDS))

        with b.repeat(goes_on):
            total.set(zero)
            with b.loop(k.number(0), count) as t:
                b.store(at(product, t), zero)
                with b.loop(k.number(0), count) as j:
                    b.store(at(product, t), load(product, t) + load(matrix, t * count + j) * load(chance, j))
                total.set(total.get() + load(chance, t) * load(product, t))
            error.set(zero)
            with b.loop(k.number(0), count) as t:
                off = b.absolute(load(product, t) - total.get())
                error.set(b.select(off > error.get(), off, error.get()))
            with b.when(error.get() >= b.constant(F32, coupling_tolerance(classes))), b.loop(k.number(0), count) as t:
                own = load(matrix, t * count + t)
                step = (total.get() - load(product, t)) / own
                shrink = b.constant(F32, 1.0) + step
                b.store(at(chance, t), load(chance, t) + step)
                twice = load(product, t) + load(product, t)
                total.set((total.get() + step * (step * own + twice)) / shrink / shrink)
                with b.loop(k.number(0), count) as j:
                    b.store(at(product, j), (load(product, j) + step * load(matrix, t * count + j)) / shrink)
                    b.store(at(chance, j), load(chance, j) / shrink)
            rounds.set(rounds.get() + k.number(1))
        with b.loop(k.number(0), count) as t:
            k.store(result, load(chance, t), row, t)
    return [k.kernel()]
