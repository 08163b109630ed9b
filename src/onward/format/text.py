"""The text syntax of ONNX: messages to text and back.

    <ir_version: 9, opset_import: ["" : 18]>
    agraph (float[N, 4] x) => (float[N, 4] y) {
        y = Relu (x)
    }

Source: the ONNX project's grammar (docs/Syntax.md). As there, `float[]` has unknown rank, `float` is a scalar, and the numbers
of a float16, bfloat16 or smaller float tensor are bit patterns.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from onward.errors import FormatError
from onward.format.wire import Message

ELEMENT_TYPES = [
    "undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double",
    "uint32", "uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
    "float8e5m2fnuz", "uint4", "int4", "float4e2m1", "float8e8m0", "uint2", "int2", "float6e2m3", "float6e3m2",
]  # fmt: skip
"""Names of the element types; the position is the type's number."""
ATTRIBUTE_FIELDS = {
    "float": (1, "f"), "int": (2, "i"), "string": (3, "s"), "tensor": (4, "t"), "graph": (5, "g"), "floats": (6, "floats"),
    "ints": (7, "ints"), "strings": (8, "strings"), "tensors": (9, "tensors"), "graphs": (10, "graphs"),
    "type_proto": (13, "tp"), "type_protos": (14, "type_protos"),
}  # fmt: skip
"""What can be written as an attribute: the number of its type and the field of its value."""
DEEPEST = 40

_TOKENS = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+) | (?P<string>"(?:[^"\\]|\\.)*") | (?P<arrow>=>)
      | (?P<number>[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf\b|nan\b|infinity\b))
      | (?P<name>[A-Za-z_?][\w?]*) | (?P<sign>[-+<>()\[\]{}=:,.@|])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_PLAIN = re.compile(r"[A-Za-z_]\w*")


# -- reading ----------------------------------------------------------------------------------------------------------
def parse_model_text(text: str) -> Message:
    """The ModelProto that a text describes. Raises FormatError with line and column of the first fault."""
    parser = _Parser(text)
    model = parser.model()
    parser.finish()
    return model


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        while position < len(text):
            match = _TOKENS.match(text, position)
            if match is None:
                self._fail_at(position, f"'{text[position]}' belongs to no word of the syntax")
            assert match is not None and match.lastgroup is not None
            if match.lastgroup != "space":
                self.tokens.append((match.lastgroup, match.group(), position))
            position = match.end()
        self.tokens += [("end", "", len(text))] * 2  # one to stop at, one to look ahead to
        self.place = 0
        self.depth = 0

    # -- words -------------------------------------------------------------------------------------------------
    def _fail_at(self, position: int, message: str) -> NoReturn:
        line = self.text.count("\n", 0, position) + 1
        column = position - self.text.rfind("\n", 0, position)
        raise FormatError(f"line {line}, column {column}: {message}")

    def fail(self, expected: str) -> NoReturn:
        """Raises FormatError for the next word."""
        kind, word, position = self.tokens[self.place]
        found = "the end of the text" if kind == "end" else f"'{word}'"
        self._fail_at(position, f"expected {expected}, found {found}")

    def sees(self, *words: str) -> bool:
        """Whether the next word is one of these signs or names."""
        kind, word, _ = self.tokens[self.place]
        return kind != "string" and word in words

    def sees_kind(self, kind: str) -> bool:
        """Whether the next word is of a kind."""
        return self.tokens[self.place][0] == kind

    def take(self, word: str) -> bool:
        """Steps over a word if it comes next."""
        if self.sees(word):
            self.place += 1
            return True
        return False

    def expect(self, word: str) -> None:
        """Steps over a word that must come next."""
        if not self.take(word):
            self.fail(f"'{word}'")

    def next(self, kind: str, what: str) -> str:
        """The next word, which must be of a kind."""
        if not self.sees_kind(kind):
            self.fail(what)
        self.place += 1
        return self.tokens[self.place - 1][1]

    def finish(self) -> None:
        """Nothing may follow."""
        if not self.sees_kind("end"):
            self.fail("the end")

    def string(self) -> str:
        """A quoted string."""
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), self.next("string", "a string")[1:-1], flags=re.DOTALL)

    def identifier(self) -> str:
        """A name, quoted or not."""
        return self.string() if self.sees_kind("string") else self.next("name", "a name")

    def integer(self) -> int:
        """A whole number."""
        word = self.next("number", "a whole number")
        try:
            return int(word)
        except ValueError:
            self.place -= 1
            self.fail("a whole number")

    def listed(self, begin: str, item: Callable[[], Any], end: str) -> list[Any]:
        """begin item, item, ... end"""
        self.expect(begin)
        found: list[Any] = []
        while not self.take(end):
            if found:
                self.expect(",")
            found.append(item())
        return found

    # -- models ------------------------------------------------------------------------------------------------
    def model(self) -> Message:
        """ModelProto."""
        message = Message("ModelProto")
        if self.sees("<"):
            self.listed("<", lambda: self.property(message), ">")
        message.fields["graph"] = self.graph()
        functions = []
        while self.sees("<"):
            functions.append(self.function())
        if functions:
            message.fields["functions"] = functions
        return message

    def property(self, message: Message) -> None:
        """key: value of a model or function."""
        key = self.next("name", "the name of a property")
        self.expect(":")
        if key in ("ir_version", "model_version"):
            message.fields[key] = self.integer()
        elif key == "opset_import":
            message.fields[key] = self.listed("[", self.opset, "]")
        elif key == "metadata_props":
            message.fields[key] = self.listed("[", self.entry, "]")
        elif key in ("producer_name", "producer_version", "domain", "doc_string", "overload"):
            message.fields[key] = self.string()
        else:
            self.place -= 2
            self.fail("ir_version, opset_import, producer_name or another property of a model")

    def opset(self) -> Message:
        """ "domain" : version"""
        domain = self.string()
        self.expect(":")
        return Message("OperatorSetIdProto", domain=domain, version=self.integer())

    def entry(self) -> Message:
        """ "key": "value" """
        key = self.string()
        self.expect(":")
        return Message("StringStringEntryProto", key=key, value=self.string())

    def function(self) -> Message:
        """FunctionProto."""
        message = Message("FunctionProto")
        self.listed("<", lambda: self.property(message), ">")
        message.fields["name"] = self.identifier()
        if self.sees("<"):
            for item in self.listed("<", self.parameter, ">"):
                message.fields.setdefault("attribute" if isinstance(item, str) else "attribute_proto", []).append(item)
        message.fields["input"] = self.listed("(", self.formal, ")")
        self.expect("=>")
        message.fields["output"] = self.listed("(", self.formal, ")")
        if self.sees("<"):
            message.fields["value_info"] = self.listed("<", self.value_info, ">")
        message.fields["node"] = self.nodes()
        return message

    def formal(self) -> str:
        """The name of a function's input or output; a type before it says nothing."""
        return str(self.value_info().get("name", ""))

    def parameter(self) -> str | Message:
        """An attribute of a function: a name, or one with a default."""
        following = self.tokens[self.place + 1][1]
        return self.attribute() if following in (":", "=") else self.identifier()

    # -- graphs ------------------------------------------------------------------------------------------------
    def graph(self) -> Message:
        """GraphProto."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"no graph nested deeper than {DEEPEST} levels")
        message = Message("GraphProto", name=self.identifier())
        initializers: list[Message] = []
        infos: list[Message] = []
        message.fields["input"] = self.listed("(", lambda: self.declared(initializers), ")")
        self.expect("=>")
        message.fields["output"] = self.listed("(", self.value_info, ")")
        if self.sees("<"):
            for info in self.listed("<", lambda: self.declared(initializers, alone=True), ">"):
                if info is not None:
                    infos.append(info)
        message.fields["node"] = self.nodes()
        for field, items in (("initializer", initializers), ("value_info", infos)):
            if items:
                message.fields[field] = items
        self.depth -= 1
        return message

    def declared(self, initializers: list[Message], alone: bool = False) -> Message | None:
        """A value, perhaps with its data; with `alone` the data is all there is to say."""
        info = self.value_info()
        if not self.take("="):
            return info
        kind = info.get("type")
        tensor = kind.get("tensor_type") if kind is not None else None
        if tensor is None:
            self.fail("a tensor type before a value with data")
        shape = tensor.get("shape")
        known = [dim.get("dim_value") for dim in shape.items("dim")] if shape is not None else [None]
        dims = [extent for extent in known if extent is not None]
        if len(dims) < len(known):
            self.fail("a shape of numbers before a value with data")
        initializers.append(self.data(tensor.get("elem_type", 0), dims, info.get("name", "")))
        return None if alone else info

    def value_info(self) -> Message:
        """type name, or a name alone."""
        following = self.tokens[self.place + 1]
        typed = following[0] in ("name", "string") or following[1] in ("[", "(")
        kind = self.type() if typed and self.sees_kind("name") else None
        message = Message("ValueInfoProto", name=self.identifier())
        if kind is not None:
            message.fields["type"] = kind
        return message

    def type(self) -> Message:
        """TypeProto."""
        word = self.next("name", "a type")
        if word in ("seq", "optional"):
            self.expect("(")
            inner = Message(f"TypeProto.{'Sequence' if word == 'seq' else 'Optional'}", elem_type=self.type())
            self.expect(")")
            return Message("TypeProto", **{"sequence_type" if word == "seq" else "optional_type": inner})
        if word == "map":
            self.expect("(")
            key = self.element()
            self.expect(",")
            inner = Message("TypeProto.Map", key_type=key, value_type=self.type())
            self.expect(")")
            return Message("TypeProto", map_type=inner)
        if word == "sparse_tensor":
            self.expect("(")
            inner = self.tensor_type("TypeProto.SparseTensor")
            self.expect(")")
            return Message("TypeProto", sparse_tensor_type=inner)
        self.place -= 1
        return Message("TypeProto", tensor_type=self.tensor_type("TypeProto.Tensor"))

    def element(self) -> int:
        """The number of an element type."""
        word = self.next("name", "an element type")
        if word not in ELEMENT_TYPES[1:]:
            self.place -= 1
            self.fail("an element type such as float or int64")
        return ELEMENT_TYPES.index(word)

    def tensor_type(self, kind: str) -> Message:
        """float[N, 4]"""
        message = Message(kind, elem_type=self.element())
        if not self.sees("["):
            message.fields["shape"] = Message("TensorShapeProto")
            return message
        dims = self.listed("[", self.dimension, "]")
        if dims:
            message.fields["shape"] = Message("TensorShapeProto", dim=dims)
        return message

    def dimension(self) -> Message:
        """A number, a name, or ? for unknown."""
        message = Message("TensorShapeProto.Dimension")
        if self.sees_kind("number"):
            message.fields["dim_value"] = self.integer()
        elif not self.take("?"):
            message.fields["dim_param"] = self.identifier()
        return message

    # -- nodes -------------------------------------------------------------------------------------------------
    def nodes(self) -> list[Message]:
        """{ node node ... }"""
        self.expect("{")
        found = []
        while not self.take("}"):
            found.append(self.node())
        return found

    def node(self) -> Message:
        """[label] y = domain.Op:overload <attributes> (x)"""
        message = Message("NodeProto")
        name = None
        if self.take("["):
            name = self.identifier()
            self.expect("]")
        message.fields["output"] = self.names("=")
        parts = [self.next("name", "an operator")]
        while self.take("."):
            parts.append(self.next("name", "an operator"))
        overload = self.identifier() if self.take(":") else None
        attributes = self.listed("<", self.attribute, ">") if self.sees("<") else []
        self.expect("(")
        message.fields["input"] = self.names(")")
        if not attributes and self.sees("<"):
            attributes = self.listed("<", self.attribute, ">")
        message.fields["op_type"] = parts[-1]
        for field, value in (("domain", ".".join(parts[:-1])), ("name", name), ("overload", overload), ("attribute", attributes)):
            if value:
                message.fields[field] = value
        return message

    def names(self, end: str) -> list[str]:
        """Names up to `end`; nothing between commas is the empty name."""
        if self.take(end):
            return []
        found = []
        while True:
            found.append("" if self.sees(",", end) else self.identifier())
            if self.take(end):
                return found
            self.expect(",")

    def attribute(self) -> Message:
        """name: type = value"""
        name = self.identifier()
        kind = None
        if self.take(":"):
            kind = self.next("name", "the type of an attribute")
            if kind not in ATTRIBUTE_FIELDS:
                self.place -= 1
                self.fail("the type of an attribute, such as int, floats or tensor")
        self.expect("=")
        if self.take("@"):
            message = Message("AttributeProto", name=name, ref_attr_name=self.identifier())
            if kind is not None:
                message.fields["type"] = ATTRIBUTE_FIELDS[kind][0]
            return message
        found, value = self.attribute_value(kind)
        number, field = ATTRIBUTE_FIELDS[found]
        return Message("AttributeProto", name=name, type=number, **{field: value})

    def attribute_value(self, kind: str | None) -> tuple[str, Any]:
        """The type and the value of an attribute."""
        if self.sees("["):
            items = self.listed("[", lambda: self.attribute_value(None), "]")
            found = kind or (items[0][0] + "s" if items else "ints")
            if kind is None and any(one == "float" for one, _ in items):
                found = "floats"
            return found, [float(value) if found == "floats" else value for _, value in items]
        if self.sees_kind("string"):
            return "string", self.string().encode("utf-8", "surrogateescape")
        if self.sees_kind("number"):
            word = self.next("number", "a number")
            if kind == "float" or kind is None and not re.fullmatch(r"[-+]?\d+", word):
                return "float", float(word)
            return "int", int(word)
        if kind == "type_proto":
            return "type_proto", self.type()
        if self.sees(*ELEMENT_TYPES[1:]) and self.tokens[self.place + 1][1] in ("[", "{", "=") or kind == "tensor":
            tensor = self.tensor_type("TypeProto.Tensor")
            name = self.identifier() if not self.sees("{", "=") else ""
            self.take("=")
            shape = tensor.get("shape")
            dims = [dim.get("dim_value", 0) for dim in shape.items("dim")] if shape is not None else []
            return "tensor", self.data(tensor.get("elem_type", 0), dims, name)
        return "graph", self.graph()

    def data(self, element: int, dims: Sequence[int], name: str) -> Message:
        """{1, 2, 3} as a TensorProto."""
        message = Message("TensorProto", dims=list(dims), data_type=element)
        if name:
            message.fields["name"] = name
        field = typed_field(element)
        if field == "string_data":
            values = self.listed("{", lambda: self.string().encode("utf-8", "surrogateescape"), "}")
        elif field in ("float_data", "double_data"):
            values = self.listed("{", lambda: float(self.next("number", "a number")), "}")
        else:
            values = self.listed("{", self.integer, "}")
        if values:
            message.fields[field] = values
        return message


def typed_field(element: int) -> str:
    """The field of a TensorProto that holds numbers of an element type."""
    return {
        1: "float_data", 14: "float_data", 11: "double_data", 15: "double_data", 7: "int64_data", 12: "uint64_data",
        13: "uint64_data", 8: "string_data",
    }.get(element, "int32_data")  # fmt: skip


# -- writing ----------------------------------------------------------------------------------------------------------
def print_model_text(model: Message) -> str:
    """The text of a ModelProto; what the syntax cannot say (such as doc strings of nodes) is left out."""
    head = _properties(model, ("ir_version", "opset_import", "producer_name", "producer_version", "domain", "model_version", "doc_string", "metadata_props"))
    parts = [f"<\n   {head}\n>", _graph(model.fields["graph"], "")]
    parts += [_function(function) for function in model.items("functions")]
    return "\n".join(parts) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return f'"{escaped}"'


def _name(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else _quoted(text)


def _properties(message: Message, keys: Sequence[str]) -> str:
    parts = []
    for key in keys:
        value = message.get(key)
        if value is None or isinstance(value, list) and not value:
            continue
        if key == "opset_import":
            shown = ", ".join(f"{_quoted(item.get('domain', ''))} : {item.get('version', 0)}" for item in value)
            parts.append(f"{key}: [{shown}]")
        elif key == "metadata_props":
            shown = ", ".join(f"{_quoted(item.get('key', ''))}: {_quoted(item.get('value', ''))}" for item in value)
            parts.append(f"{key}: [{shown}]")
        else:
            parts.append(f"{key}: {_quoted(value) if isinstance(value, str) else value}")
    return ",\n   ".join(parts)


def _function(function: Message) -> str:
    head = _properties(function, ("domain", "opset_import", "overload", "doc_string"))
    attributes = [*map(_name, function.items("attribute")), *(_attribute(a, "") for a in function.items("attribute_proto"))]
    shown = f" <{', '.join(attributes)}>" if attributes else ""
    inputs, outputs = (", ".join(map(_name, function.items(field))) for field in ("input", "output"))
    infos = ", ".join(_value_info(info) for info in function.items("value_info"))
    block = f"\n   <{infos}>" if infos else ""
    return f"<\n   {head}\n>\n{_name(function.get('name', ''))}{shown} ({inputs}) => ({outputs}){block}\n{_nodes(function, '')}"


def _graph(graph: Message, indent: str) -> str:
    tensors = {tensor.get("name", ""): tensor for tensor in graph.items("initializer")}
    inputs = []
    for info in graph.items("input"):
        tensor = tensors.pop(info.get("name", ""), None)
        inputs.append(_value_info(info) + (f" = {_data(tensor)}" if tensor is not None else ""))
    outputs = ", ".join(_value_info(info) for info in graph.items("output"))
    known = [f"{_tensor_type(t)} {_name(t.get('name', ''))} = {_data(t)}" for t in tensors.values()]
    known += [_value_info(info) for info in graph.items("value_info")]
    block = f"\n{indent}   <{', '.join(known)}>\n{indent}" if known else " "
    return f"{_name(graph.get('name', ''))} ({', '.join(inputs)}) => ({outputs}){block}{_nodes(graph, indent)}"


def _nodes(body: Message, indent: str) -> str:
    lines = [f"{indent}   {_node(node, indent + '   ')}" for node in body.items("node")]
    return "{\n" + "".join(line + "\n" for line in lines) + indent + "}"


def _node(node: Message, indent: str) -> str:
    label = f"[{_name(node.get('name', ''))}] " if node.get("name") else ""
    domain = f"{node.get('domain')}." if node.get("domain") else ""
    overload = f":{_name(node.get('overload', ''))}" if node.get("overload") else ""
    attributes = ", ".join(_attribute(attribute, indent) for attribute in node.items("attribute"))
    outputs, inputs = (", ".join(map(_name, node.items(field))) for field in ("output", "input"))
    return f"{label}{outputs} = {domain}{node.get('op_type', '')}{overload} {f'<{attributes}> ' if attributes else ''}({inputs})"


def _attribute(attribute: Message, indent: str) -> str:
    kind = next((name for name, (number, _) in ATTRIBUTE_FIELDS.items() if number == attribute.get("type", 0)), None)
    name = _name(attribute.get("name", ""))
    if kind is None:
        raise FormatError(f"attribute {name} is of a type that the text syntax cannot express")
    if attribute.get("ref_attr_name"):
        return f"{name}: {kind} = @{_name(attribute.get('ref_attr_name'))}"
    single = kind.removesuffix("s")
    table: dict[str, Callable[[Any], str]] = {
        "float": _float, "int": str, "string": lambda value: _quoted(bytes(value).decode("utf-8", "surrogateescape")),
        "tensor": lambda tensor: _tensor(tensor), "graph": lambda graph: _graph(graph, indent), "type_proto": _type,
    }  # fmt: skip
    show = table[single]
    value = attribute.get(ATTRIBUTE_FIELDS[kind][1])
    if kind != single:
        return f"{name}: {kind} = [{', '.join(map(show, value or []))}]"
    return f"{name}: {kind} = {show(value if value is not None else b'' if kind == 'string' else 0)}"


def _float(value: float) -> str:
    """The shortest digits that give the same float32."""
    for digits in range(6, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("<f", float(text)) == struct.pack("<f", value) or value != value:
            break
    return text if re.search(r"[.en]", text) else text + ".0"


def _value_info(info: Message) -> str:
    kind = f"{_type(info.fields['type'])} " if "type" in info.fields else ""
    return f"{kind}{_name(info.get('name', ''))}"


def _type(kind: Message) -> str:
    fields = kind.fields
    if "tensor_type" in fields:
        return _shaped(fields["tensor_type"])
    if "sparse_tensor_type" in fields:
        return f"sparse_tensor({_shaped(fields['sparse_tensor_type'])})"
    for field, word in (("sequence_type", "seq"), ("optional_type", "optional")):
        if field in fields and "elem_type" in fields[field].fields:
            return f"{word}({_type(fields[field].fields['elem_type'])})"
    if "map_type" in fields:
        inner = fields["map_type"]
        return f"map({ELEMENT_TYPES[inner.get('key_type', 0)]}, {_type(inner.fields['value_type'])})"
    raise FormatError("a type that the text syntax cannot express")


def _shaped(tensor: Message) -> str:
    element = ELEMENT_TYPES[tensor.get("elem_type", 0)]
    shape = tensor.get("shape")
    if shape is None:
        return f"{element}[]"
    dims = [str(d.get("dim_value")) if "dim_value" in d.fields else _name(d.get("dim_param")) if d.get("dim_param") else "?" for d in shape.items("dim")]
    return f"{element}[{','.join(dims)}]" if dims else element


def _tensor_type(tensor: Message) -> str:
    element = ELEMENT_TYPES[tensor.get("data_type", 0)]
    dims = tensor.items("dims")
    return f"{element}[{','.join(map(str, dims))}]" if dims else element


def _tensor(tensor: Message) -> str:
    name = f" {_name(tensor.get('name'))}" if tensor.get("name") else ""
    return f"{_tensor_type(tensor)}{name} {_data(tensor)}"


_RAW_FORMATS = {
    1: "f", 11: "d", 2: "B", 3: "b", 4: "H", 5: "h", 6: "i", 7: "q", 9: "B", 10: "H", 12: "I", 13: "Q", 14: "f", 15: "d", 16: "H",
}  # fmt: skip


def _data(tensor: Message) -> str:
    element = tensor.get("data_type", 0)
    if tensor.get("data_location", 0) == 1:
        raise FormatError(f"tensor '{tensor.get('name', '')}' has its data in another file, which the text syntax cannot say")
    values: Sequence[Any]
    if "raw_data" in tensor.fields:
        raw = bytes(tensor.fields["raw_data"])
        letter = _RAW_FORMATS.get(element, "B")
        values = struct.unpack(f"<{len(raw) // struct.calcsize('<' + letter)}{letter}", raw)
    else:
        values = list(tensor.items(typed_field(element)))
    if element == 8:
        return "{" + ", ".join(_quoted(bytes(value).decode("utf-8", "surrogateescape")) for value in values) + "}"
    showers: dict[int, Callable[[Any], str]] = {1: _float, 14: _float, 11: repr, 15: repr}
    show: Callable[[Any], str] = showers.get(element, lambda value: str(value))
    return "{" + ",".join(map(show, values)) + "}"
