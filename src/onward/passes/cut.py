"""Minimum cuts of small networks."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

INFINITE = 1 << 60


class Network:
    """Arcs with capacities between places that any hashable objects name."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._arcs: list[list[int]] = []
        self._heads: list[int] = []
        self._capacities: list[int] = []

    def arc(self, tail: Hashable, head: Hashable, capacity: int) -> None:
        """An arc; two between the same places add up."""
        start, end = self._number(tail), self._number(head)
        for where, place, amount in ((start, end, capacity), (end, start, 0)):
            self._arcs[where].append(len(self._heads))
            self._heads.append(place)
            self._capacities.append(amount)

    def side_of(self, source: Hashable, sink: Hashable) -> set[Hashable]:
        """The places on the source's side of the minimum cut that has the fewest of them.

        Dinic's algorithm: flow along shortest paths, level by level.
        """
        start, end = self._number(source), self._number(sink)
        while True:
            levels = self._levels(start)
            if levels[end] < 0:
                return {place for place, number in self._numbers.items() if levels[number] >= 0}
            following = [0] * len(self._arcs)
            while self._push(start, end, levels, following):
                pass

    def _number(self, place: Hashable) -> int:
        if place not in self._numbers:
            self._numbers[place] = len(self._arcs)
            self._arcs.append([])
        return self._numbers[place]

    def _levels(self, start: int) -> list[int]:
        levels = [-1] * len(self._arcs)
        levels[start] = 0
        pending = deque([start])
        while pending:
            place = pending.popleft()
            for arc in self._arcs[place]:
                head = self._heads[arc]
                if self._capacities[arc] > 0 and levels[head] < 0:
                    levels[head] = levels[place] + 1
                    pending.append(head)
        return levels

    def _push(self, start: int, end: int, levels: list[int], following: list[int]) -> bool:
        """Sends what one path from start to end can take; whether there was one."""
        path: list[int] = []
        place = start
        while place != end:
            arcs = self._arcs[place]
            while following[place] < len(arcs):
                arc = arcs[following[place]]
                if self._capacities[arc] > 0 and levels[self._heads[arc]] == levels[place] + 1:
                    break
                following[place] += 1
            if following[place] < len(arcs):
                path.append(arcs[following[place]])
                place = self._heads[path[-1]]
            elif path:
                place = self._heads[path.pop() ^ 1]
                following[place] += 1
            else:
                return False
        amount = min(self._capacities[arc] for arc in path)
        for arc in path:
            self._capacities[arc] -= amount
            self._capacities[arc ^ 1] += amount
        return True
