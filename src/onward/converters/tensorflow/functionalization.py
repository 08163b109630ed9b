"""Control flow of TensorFlow 1 as branches and loops that call functions.

There a Switch sends a tensor one of two ways and a Merge takes what arrives; a loop is a cycle of Enter, Merge, Switch and NextIteration that
is left by Exit. Innermost structures are replaced first: the nodes of a branch or of a turn become a function, the Merge or Exit an Identity of
what If or While gives, so that all tensors keep their names. Source of the operators' meaning: Yu et al., Dynamic control flow in large-scale
machine learning, 2018, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.graph_to_function_def import graph_to_function_def

from onward.errors import UnsupportedOperator

BRANCHES = ("Merge", "RefMerge")
SWITCHES = ("Switch", "RefSwitch")
ENTERS = ("Enter", "RefEnter")


def functional(graph: Any, outputs: Sequence[Any]) -> Any:
    """The graph with functions in place of Switch and Merge; the graph itself where it has none.

    Raises UnsupportedOperator where they make no branches and loops.
    """
    if not any(op.type in (*BRANCHES, *ENTERS) for op in graph.get_operations()):
        return graph
    return _Rewriting(graph).done([tensor.name for tensor in outputs])


def is_inside(op: Any) -> bool:
    """Whether an operator belongs to a branch or to a loop, of which it is not the result."""
    pending, seen = [op], set()
    while pending:
        one = pending.pop()
        if one.type in (*SWITCHES, *ENTERS):
            return True
        if one.name not in seen and one.type not in (*BRANCHES, "Exit", "RefExit"):
            seen.add(one.name)
            pending += [tensor.op for tensor in one.inputs]
    return False


def _name(reference: str) -> str:
    return reference.lstrip("^").partition(":")[0]


def _whole(reference: str) -> str:
    """`name:place` of an input as a node writes it."""
    return reference if ":" in reference else f"{reference}:0"


@dataclass
class _Region:
    """Nodes inside a branch or turn, and the tensors from outside that they read."""

    nodes: list[str]
    entries: list[str]


class _Rewriting:
    """The definition of a graph while its structures are replaced."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.definition = graph.as_graph_def()
        self.nodes: dict[str, Any] = {node.name: node for node in self.definition.node}
        self.count = 0

    def done(self, outputs: Sequence[str]) -> Any:
        while True:
            wanted = self._reached(outputs)
            open_ones = [name for name in wanted if self.nodes[name].op in (*BRANCHES, "Exit", "RefExit")]
            if not open_ones:
                break
            if not self._replaced(open_ones):
                raise UnsupportedOperator(f"control flow of TensorFlow 1 that is no branch and no loop, at '{open_ones[0]}'")
        made = tf.Graph()
        kept = {*self._reached(outputs), *(name for name, node in self.nodes.items() if node.op == "Placeholder")}
        with made.as_default():
            tf.import_graph_def(self._definition(node for name, node in self.nodes.items() if name in kept), name="")
        return made

    def _definition(self, nodes: Iterable[Any]) -> Any:
        made = tf.compat.v1.GraphDef(versions=self.definition.versions, library=self.definition.library)
        names = set()
        for node in nodes:
            made.node.add().CopyFrom(node)
            names.add(node.name)
        for node in made.node:
            inputs = [item for item in node.input if not item.startswith("^") or _name(item) in names]
            del node.input[:]
            node.input.extend(inputs)
        return made

    def _reached(self, outputs: Iterable[str]) -> list[str]:
        """Nodes that outputs depend on, going around loops once."""
        found: dict[str, None] = {}
        pending = [_name(item) for item in outputs]
        while pending:
            name = pending.pop()
            if name not in found:
                found[name] = None
                pending += [_name(item) for item in self.nodes[name].input if not item.startswith("^")]
        return list(found)

    def _replaced(self, names: Sequence[str]) -> bool:
        """Whether one structure without another one inside was found and replaced."""
        frames = dict.fromkeys(self._frame(name) for name in names if self.nodes[name].op.endswith("Exit"))
        for frame in frames:
            if frame is not None and self._loop(frame):
                return True
        choices: dict[str, list[str]] = {}
        for name in names:
            node = self.nodes[name]
            if node.op in BRANCHES and not any(self.nodes[_name(item)].op in (*ENTERS, "NextIteration", "RefNextIteration") for item in node.input):
                condition = self._condition(name)
                if condition is not None:
                    choices.setdefault(condition, []).append(name)
        for condition, merges in choices.items():
            self._branch(condition, merges)
            return True
        return False

    # --- branches ---

    def _condition(self, merge: str) -> str | None:
        """What decides which way reaches a Merge; None where a structure on the way is not replaced yet."""
        found: set[str] = set()
        seen: set[str] = set()
        pending = [_name(item) for item in self.nodes[merge].input]
        while pending:
            name = pending.pop()
            node = self.nodes[name]
            if name in seen:
                continue
            seen.add(name)
            if node.op in SWITCHES:
                found.add(self._decider(node))
            elif node.op in (*BRANCHES, "Exit", "RefExit") and name != merge:
                return None
            elif node.op not in ENTERS:
                pending += [_name(item) for item in node.input]
        return found.pop() if len(found) == 1 else None

    def _branch(self, condition: str, merges: Sequence[str]) -> None:
        sides: list[list[str]] = [[], []]
        for merge in merges:
            arriving = [_whole(item) for item in self.nodes[merge].input if not item.startswith("^")]
            ways = [self._way(item, condition) for item in arriving]
            if sorted(way for way in ways if way is not None) not in ([0], [1], [0, 1]):
                raise UnsupportedOperator(f"which way leads to '{merge}' is not to be told")
            first = ways.index(0) if 0 in ways else 1 - ways.index(1)
            sides[0].append(arriving[first])
            sides[1].append(arriving[1 - first])
        regions = [self._inside(side, condition) for side in sides]
        entries = list(dict.fromkeys(entry for region in regions for entry in region.entries))
        types = [self._type(item) for item in sides[0]]
        functions = [self._function(region.nodes, entries, side) for region, side in zip(regions, sides, strict=True)]
        given = [self._given(entry, condition) for entry in entries]
        node = self._add("If", [condition, *given], Tcond=self._type(condition), Tin=[self._type(item) for item in entries], Tout=types)
        node.attr["else_branch"].func.name, node.attr["then_branch"].func.name = functions
        for place, merge in enumerate(merges):
            self._becomes(merge, f"{node.name}:{place}", types[place])

    def _decider(self, switch: Any) -> str:
        """The condition of a Switch, behind what only forwards it."""
        tensor = _whole(switch.input[1])
        while self.nodes[_name(tensor)].op == "Identity":
            tensor = _whole(self.nodes[_name(tensor)].input[0])
        return tensor

    def _way(self, tensor: str, condition: str) -> int | None:
        """Which side of the Switches a tensor depends on."""
        name, _, place = tensor.partition(":")
        pending, seen = [(name, int(place))], set()
        while pending:
            name, port = pending.pop()
            node = self.nodes[name]
            if self._is_switch(name, condition):
                return port
            if name not in seen:
                seen.add(name)
                for item in node.input:
                    head, _, tail = item.lstrip("^").partition(":")
                    pending.append((head, int(tail or 0)))
        return None

    def _inside(self, outputs: Sequence[str], condition: str) -> _Region:
        """What depends on the Switches of a condition."""
        users: dict[str, list[str]] = {}
        pending, seen = [_name(item) for item in outputs], set()
        while pending:
            name = pending.pop()
            if name in seen or self._is_switch(name, condition):
                continue
            seen.add(name)
            for item in self.nodes[name].input:
                users.setdefault(_name(item), []).append(name)
                pending.append(_name(item))
        found: dict[str, None] = {}
        pending = [name for name in users if self._is_switch(name, condition)]
        while pending:
            for name in users.get(pending.pop(), []):
                if name not in found:
                    found[name] = None
                    pending.append(name)
        read = [_whole(item) for name in found for item in self.nodes[name].input if not item.startswith("^")]
        return _Region(list(found), [item for item in dict.fromkeys([*read, *outputs]) if _name(item) not in found])

    def _is_switch(self, name: str, condition: str) -> bool:
        node = self.nodes[name]
        return node.op in SWITCHES and self._decider(node) == condition

    def _given(self, tensor: str, condition: str) -> str:
        """What a Switch forwards."""
        name = _name(tensor)
        return _whole(self.nodes[name].input[0]) if self._is_switch(name, condition) else tensor

    # --- loops ---

    def _frame(self, exit_: str) -> str | None:
        """The name of the loop that an Exit leaves."""
        switch = self.nodes[_name(self.nodes[exit_].input[0])]
        merge = self.nodes[_name(switch.input[0])]
        enter = next((self.nodes[_name(item)] for item in merge.input if self.nodes[_name(item)].op in ENTERS), None)
        return None if enter is None else enter.attr["frame_name"].s.decode()

    def _loop(self, frame: str) -> bool:
        enters = [name for name, node in self.nodes.items() if node.op in ENTERS and node.attr["frame_name"].s.decode() == frame]
        merges = {_name(item): name for name, node in self.nodes.items() if node.op in BRANCHES for item in node.input if _name(item) in enters}
        states = [(enter, merges[enter]) for enter in enters if enter in merges]
        constants = [enter for enter in enters if enter not in merges]
        following = [next(_name(item) for item in self.nodes[merge].input if _name(item) != enter) for enter, merge in states]
        switches = {_name(node.input[0]): name for name, node in self.nodes.items() if node.op in SWITCHES and _name(node.input[0]) in merges.values()}
        pairs = [(enter, merge, step) for (enter, merge), step in zip(states, following, strict=True) if merge in switches]
        condition = self.nodes[_name(self.nodes[switches[pairs[0][1]]].input[1])].input[0]
        arguments = [f"{merge}:0" for _, merge, _ in pairs], [f"{switches[merge]}:1" for _, merge, _ in pairs]
        fixed = [f"{enter}:0" for enter in constants]
        after = [_whole(self.nodes[step].input[0]) for _, _, step in pairs]
        parts = [self._between([condition], [*arguments[0], *fixed]), self._between(after, [*arguments[1], *fixed])]
        if any(part is None for part in parts):
            return False
        types = [self._type(item) for item in (*arguments[0], *fixed)]
        test = self._function(parts[0] or [], [*arguments[0], *fixed], [_whole(condition)])
        body = self._function(parts[1] or [], [*arguments[1], *fixed], [*after, *fixed])
        node = self._add("While", [_whole(self.nodes[enter].input[0]) for enter in (*(pair[0] for pair in pairs), *constants)], T=types)
        node.attr["cond"].func.name, node.attr["body"].func.name = test, body
        places = {switches[merge]: place for place, (_, merge, _) in enumerate(pairs)}
        for name, exit_ in list(self.nodes.items()):
            if exit_.op in ("Exit", "RefExit") and _name(exit_.input[0]) in places:
                place = places[_name(exit_.input[0])]
                self._becomes(name, f"{node.name}:{place}", types[place])
        return True

    def _between(self, outputs: Sequence[str], entries: Sequence[str]) -> list[str] | None:
        """The nodes between tensors; None where another structure is among them."""
        found: dict[str, None] = {}
        border = {_name(item) for item in entries}
        pending = [_name(item) for item in outputs]
        while pending:
            name = pending.pop()
            node = self.nodes[name]
            if name in border or name in found:
                continue
            if node.op in (*BRANCHES, *SWITCHES, "Exit", "RefExit"):
                return None
            found[name] = None
            pending += [_name(item) for item in node.input if not item.startswith("^")]
        return list(found)

    # --- pieces ---

    def _type(self, tensor: str) -> Any:
        return self.graph.get_tensor_by_name(tensor).dtype.base_dtype

    def _add(self, kind: str, inputs: Sequence[str], **types: Any) -> Any:
        self.count += 1
        node = tf.compat.v1.NodeDef(name=f"functional_{self.count}", op=kind, input=inputs)
        for key, value in types.items():
            if isinstance(value, list):
                node.attr[key].list.type.extend(item.as_datatype_enum for item in value)
            else:
                node.attr[key].type = value.as_datatype_enum
        self.nodes[node.name] = node
        return node

    def _becomes(self, name: str, source: str, dtype: Any) -> None:
        node = tf.compat.v1.NodeDef(name=name, op="Identity", input=[source])
        node.attr["T"].type = dtype.as_datatype_enum
        self.nodes[name] = node

    def _function(self, names: Sequence[str], entries: Sequence[str], outputs: Sequence[str]) -> str:
        """A function of the library: nodes between entries, which become its arguments, and outputs."""
        places = {entry: f"argument_{place}" for place, entry in enumerate(entries)}
        nodes = [tf.compat.v1.NodeDef(name=places[entry], op="Placeholder") for entry in entries]
        for node, entry in zip(nodes, entries, strict=True):
            node.attr["dtype"].type = self._type(entry).as_datatype_enum
        for name in names:
            node = tf.compat.v1.NodeDef()
            node.CopyFrom(self.nodes[name])
            inputs = [places.get(_whole(item), item) for item in node.input if not item.startswith("^") or _name(item) in names]
            del node.input[:]
            node.input.extend(inputs)
            nodes.append(node)
        for place, item in enumerate(outputs):
            node = tf.compat.v1.NodeDef(name=f"result_{place}", op="Identity", input=[places.get(_whole(item), item)])
            node.attr["T"].type = self._type(_whole(item)).as_datatype_enum
            nodes.append(node)
        inner = tf.Graph()
        with inner.as_default():
            tf.import_graph_def(self._definition(nodes), name="")
        self.count += 1
        found = [[inner.get_tensor_by_name(f"{kind}_{place}:0") for place in range(len(items))]
                 for kind, items in (("argument", entries), ("result", outputs))]  # fmt: skip
        function = graph_to_function_def(inner, [op for op in inner.get_operations() if op.type != "Placeholder"], *found)
        function.signature.name = f"functional_{self.count}"
        self.definition.library.function.add().CopyFrom(function)
        return function.signature.name
