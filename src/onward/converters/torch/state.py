"""What of a model's weights was a module's state: kept in the model's metadata, so that the way back to PyTorch gives the same `state_dict`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from onward.ir import Model

KEY = "onward.state"


@dataclass
class State:
    """Names of initialisers that are parameters or persistent buffers; `tied` has other names of theirs, `frozen` parameters are not trained."""

    parameters: list[str] = field(default_factory=list)
    buffers: list[str] = field(default_factory=list)
    tied: dict[str, str] = field(default_factory=dict)
    frozen: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, model: Model) -> State | None:
        """What a model says, if it has all of these weights still; None for models that are not from here or were changed."""
        try:
            found = cls(**json.loads(model.metadata[KEY]))
            names = [*found.parameters, *found.buffers, *found.frozen, *found.tied, *found.tied.values()]
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
            return None
        if not all(isinstance(name, str) for name in names):
            return None
        return found if model.graph.initializers.keys() >= {*found.parameters, *found.buffers} else None

    def record(self, model: Model) -> None:
        """Writes it into the metadata."""
        model.metadata[KEY] = json.dumps(asdict(self))

    def add(self, kind: str, target: str, name: str, trained: bool) -> None:
        """Notes that a module's `target` is the initialiser `name`; `kind` as in the signature of an exported program."""
        if kind == "PARAMETER" and not trained:
            self.frozen.append(target)
        if target != name:
            self.tied[target] = name
        elif kind == "PARAMETER":
            self.parameters.append(name)
        else:
            self.buffers.append(name)
