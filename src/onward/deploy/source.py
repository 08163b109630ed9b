"""The C header and the C file around a compiled model."""

from __future__ import annotations

import re
from pathlib import Path

from onward.compiler.artifact import Artifact, PortSpec
from onward.compiler.context import Slot, Status
from onward.compiler.support import LINE, PATIENCE, Pool
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Atom, BinaryAtom, Dimension, Expression, SymbolAtom, symbols_of

_C_TYPES = {
    DataType.FLOAT: "float", DataType.DOUBLE: "double", DataType.BOOL: "uint8_t", DataType.INT8: "int8_t",
    DataType.UINT8: "uint8_t", DataType.INT16: "int16_t", DataType.UINT16: "uint16_t", DataType.INT32: "int32_t",
    DataType.UINT32: "uint32_t", DataType.INT64: "int64_t", DataType.UINT64: "uint64_t", DataType.FLOAT16: "uint16_t",
    DataType.BFLOAT16: "uint16_t",
}  # fmt: skip


def check_ports(artifact: Artifact) -> None:
    """Raises InvalidArgument when an output's size is known only after the run."""
    bound = set(artifact.symbols[: artifact.bound_symbols])
    for port in artifact.outputs:
        free = {name for extent in port.shape if isinstance(extent, Expression) for name in extent.symbols} - bound
        if free:
            raise InvalidArgument(
                f"output '{port.name}' has a size that only the run knows ({', '.join(map(str, port.shape))}); a typed C "
                "interface needs sizes that follow from the inputs"
            )


def c_type(dtype: DataType) -> str:
    """The element type in C; types that C lacks are passed as their bits."""
    return _C_TYPES.get(dtype, "uint8_t")


def identifiers(artifact: Artifact) -> dict[str, str]:
    """C names of the inputs, outputs and sizes; no two are equal."""
    names: dict[str, str] = {}
    used: set[str] = {"model", "context", "status"}
    sources = [("in:" + p.name, p.name) for p in artifact.inputs] + [("out:" + p.name, p.name) for p in artifact.outputs]
    sources += [("size:" + symbol, symbol) for symbol in artifact.symbols[: artifact.bound_symbols]]
    for key, text in sources:
        name = re.sub(r"\W", "_", text) or "value"
        name = f"v_{name}" if name[0].isdigit() else name
        while name in used or name in _RESERVED:
            name += "_"
        used.add(name)
        names[key] = name
    return names


_RESERVED = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "int",
        "long",
        "register",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "inline",
        "restrict",
        "class",
        "new",
        "delete",
        "this",
        "template",
        "public",
        "private",
        "protected",
        "virtual",
        "operator",
        "bool",
        "true",
        "false",
    ]
)


def c_expression(dimension: Dimension, names: dict[str, str]) -> str:
    """A dimension as a C expression of int64_t."""
    if isinstance(dimension, int):
        return f"INT64_C({dimension})"
    terms = []
    for monomial, number in dimension.terms.items():
        factors = [f"INT64_C({number})"] if number != 1 or not monomial else []
        factors += [_c_atom(atom, names) for atom, power in monomial for _ in range(power)]
        terms.append("*".join(factors))
    return "(" + " + ".join(terms) + ")"


def _c_atom(atom: Atom, names: dict[str, str]) -> str:
    if isinstance(atom, SymbolAtom):
        return names["size:" + atom.name]
    assert isinstance(atom, BinaryAtom)
    left, right = c_expression(atom.left, names), c_expression(atom.right, names)
    if atom.operation in ("//", "%"):
        return f"({left} {atom.operation[0]} {right})"
    sign = "<" if atom.operation == "minimum" else ">"
    return f"({left} {sign} {right} ? {left} : {right})"


def _parameters(artifact: Artifact, name: str) -> str:
    names = identifiers(artifact)
    parts = [f"{name}_model *model"]
    parts += [f"int64_t {names['size:' + symbol]}" for symbol in artifact.symbols[: artifact.bound_symbols]]
    parts += [f"const {c_type(port.dtype)} *{names['in:' + port.name]}" for port in artifact.inputs]
    parts += [f"{c_type(port.dtype)} *{names['out:' + port.name]}" for port in artifact.outputs]
    return ", ".join(parts)


def _shape(port: PortSpec) -> str:
    return f"{port.dtype.name.lower()}[{', '.join(map(str, port.shape))}]"


def header_text(artifact: Artifact, name: str, embedded: bool) -> str:
    """The header: create, run, error, destroy."""
    names = identifiers(artifact)
    lines = [f" *   {names['in:' + port.name]}: input '{port.name}', {_shape(port)}" for port in artifact.inputs]
    lines += [f" *   {names['out:' + port.name]}: output '{port.name}', {_shape(port)}" for port in artifact.outputs]
    weights = "ignored, the weights are in the library" if embedded else f"path of {name}.weights, which is memory-mapped"
    return f"""#ifndef {name.upper()}_H
#define {name.upper()}_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {{
#endif

typedef struct {name}_model {name}_model;

/* Makes a model ready to run. weights: {weights}. threads: 0 for one.
 * Returns NULL when memory or threads cannot be had, or the weights are not there or of another build. */
{name}_model *{name}_create(const char *weights, int threads);

/* Runs the model once. Tensors are contiguous, row-major.
{chr(10).join(lines)}
 * Returns 0, or a number above 0 that {name}_error explains. One model serves one run at a time. */
int {name}_run({_parameters(artifact, name)});

/* The number of bytes of each output's elements is its extents' product times the element size. */
const char *{name}_error(int status);

void {name}_destroy({name}_model *model);

#ifdef __cplusplus
}}
#endif
#endif
"""


def weights_size(artifact: Artifact) -> int:
    """The bytes of the weights without the stamp that follows them."""
    return max(64, artifact.weights_bytes)


def wrapper_text(artifact: Artifact, name: str, stamp: bytes, embedded: Path | None) -> str:
    """The C file that owns memory and threads. `embedded` is the file of the weights that go into the library."""
    names = identifiers(artifact)
    sizes = artifact.symbols[: artifact.bound_symbols]
    set_sizes = "\n".join(f"    model->sizes[{i}] = {names['size:' + symbol]};" for i, symbol in enumerate(sizes))
    set_inputs = "\n".join(f"    model->inputs[{i}] = (void *){names['in:' + p.name]};" for i, p in enumerate(artifact.inputs))
    set_outputs = "\n".join(f"    model->outputs[{i}] = {names['out:' + p.name]};" for i, p in enumerate(artifact.outputs))
    wrong = [f"{names['size:' + symbol]} < 0" for symbol in sizes]
    for guard in artifact.guards:
        if symbols_of(guard.left) | symbols_of(guard.right) <= set(sizes):
            left, right = c_expression(guard.left, names), c_expression(guard.right, names)
            wrong.append(f"{left} != {right}" + (f" && {left} != 1" if guard.or_one else ""))
    checks = "\n".join(f"    if ({test}) return {int(Status.INVALID_SIZE)};" for test in wrong)
    arena = c_expression(artifact.arena_bytes, names)
    messages = {
        Status.OK: "no error", Status.INDEX_OUT_OF_BOUNDS: "an index in the data is outside the array it points into",
        Status.TERMINATED: "the run was stopped", Status.OUT_OF_MEMORY: "out of memory",
        Status.DIVISION_BY_ZERO: "a whole number is divided by 0",
        Status.TOO_MANY_TURNS: "a loop took more turns than it may",
        Status.INVALID_SIZE: "a size is negative or too large, or sizes do not go together",
    }  # fmt: skip
    cases = "\n".join(f'    case {int(status)}: return "{text}";' for status, text in messages.items())
    return _TEMPLATE.format(
        name=name, parameters=_parameters(artifact, name), set_sizes=set_sizes, set_inputs=set_inputs,
        set_outputs=set_outputs, checks=checks, arena=arena, cases=cases, weights_bytes=weights_size(artifact),
        size_count=max(1, len(artifact.symbols)), input_count=max(1, len(artifact.inputs)),
        output_count=max(1, len(artifact.outputs)), pool_line=LINE, patience=PATIENCE,
        weights_source=_EMBEDDED.format(path=embedded, name=name) if embedded else _MAPPED.format(stamp=", ".join(map(str, stamp))),
        **{f"slot_{slot.name.lower()}": int(slot) for slot in Slot},
        **{f"pool_{slot.name.lower()}": int(slot) for slot in Pool},
        out_of_memory=int(Status.OUT_OF_MEMORY), invalid_size=int(Status.INVALID_SIZE),
    )  # fmt: skip


_EMBEDDED = """
__asm__(".pushsection .rodata\\n.balign 64\\n.local {name}_weight_data\\n{name}_weight_data:\\n.incbin \\"{path}\\"\\n.popsection\\n");
extern const char {name}_weight_data[] __attribute__((visibility("hidden")));

static void *open_weights(const char *path, size_t size) {{ (void)path; (void)size; return (void *){name}_weight_data; }}
static void close_weights(void *weights, size_t size) {{ (void)weights; (void)size; }}
"""

_MAPPED = """
/* What follows the weights in their file: code and weights of different builds do not go together. */
static const unsigned char stamp[32] = {{{stamp}}};

static void *open_weights(const char *path, size_t size) {{
    struct stat status;
    int file = path ? open(path, O_RDONLY) : -1;
    char *weights = MAP_FAILED;
    if (file < 0) return NULL;
    if (fstat(file, &status) == 0 && (size_t)status.st_size == size + sizeof stamp)
        weights = mmap(NULL, size + sizeof stamp, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (weights == MAP_FAILED) return NULL;
    if (memcmp(weights + size, stamp, sizeof stamp) == 0) return weights;
    munmap(weights, size + sizeof stamp);
    return NULL;
}}
static void close_weights(void *weights, size_t size) {{ if (weights) munmap(weights, size + sizeof stamp); }}
"""

_TEMPLATE = """#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

extern int32_t run(void *context, void **inputs, void **outputs, int64_t *sizes);
extern void parallel_for(void *, void *, void *, int64_t);
extern void worker(void *pool, int64_t index, int64_t epoch);
extern void stop_pool(void *pool);
extern void fail(void *, int32_t, int64_t, int64_t, int64_t);
extern int64_t now(void);

typedef struct block {{ struct block *next; char padding[56]; }} block;
typedef struct {{ void *pool; int64_t index; pthread_t thread; }} seat;

typedef struct {name}_model {{
    int64_t context[{slot_count}];
    void *inputs[{input_count}], *outputs[{output_count}];
    int64_t sizes[{size_count}], stop;
    char *arena;
    int64_t arena_size;
    int64_t *pool;
    seat *seats;
    int threads;
    block *blocks;
}} {name}_model;
{weights_source}
static void *aligned(size_t size) {{
    void *memory = NULL;
    return posix_memalign(&memory, 128, size ? size : 1) == 0 ? memory : NULL;
}}

/* Memory for values whose size the run finds; freed when the run ends. */
static void *allocate(void *context, int64_t size) {{
    {name}_model *model = context;
    block *memory = size < 0 ? NULL : aligned(sizeof(block) + (size_t)size + 64);
    if (!memory) return NULL;
    memory->next = model->blocks;
    model->blocks = memory;
    return memory + 1;
}}

static void *serve(void *place) {{
    seat *mine = place;
    worker(mine->pool, mine->index, 0);
    return NULL;
}}

static int start_threads({name}_model *model, int threads) {{
    model->threads = 1;
    if (threads <= 1) return 1;
    size_t bytes = ({pool_claims} + (size_t)threads * {pool_line}) * sizeof(int64_t);
    model->pool = aligned(bytes);
    model->seats = calloc((size_t)threads, sizeof(seat));
    if (!model->pool || !model->seats) return 0;
    memset(model->pool, 0, bytes);
    model->pool[{pool_threads}] = threads;
    model->pool[{pool_patience}] = {patience};
    for (int index = 1; index < threads; ++index) {{
        seat *next = &model->seats[index];
        next->pool = model->pool;
        next->index = index;
        if (pthread_create(&next->thread, NULL, serve, next)) return 0;
        model->threads = index + 1;
    }}
    model->context[{slot_pool}] = (int64_t)(intptr_t)model->pool;
    return 1;
}}

EXPORT void {name}_destroy({name}_model *model) {{
    if (!model) return;
    if (model->threads > 1) {{
        stop_pool(model->pool);
        for (int index = 1; index < model->threads; ++index) pthread_join(model->seats[index].thread, NULL);
    }}
    close_weights((void *)(intptr_t)model->context[{slot_weights}], {weights_bytes});
    free(model->pool);
    free(model->seats);
    free(model->arena);
    free(model);
}}

EXPORT {name}_model *{name}_create(const char *weights, int threads) {{
    {name}_model *model = aligned(sizeof({name}_model));
    if (!model) return NULL;
    memset(model, 0, sizeof *model);
    model->context[{slot_weights}] = (int64_t)(intptr_t)open_weights(weights, {weights_bytes});
    model->context[{slot_parallel_for}] = (int64_t)(intptr_t)parallel_for;
    model->context[{slot_allocate}] = (int64_t)(intptr_t)allocate;
    model->context[{slot_fail}] = (int64_t)(intptr_t)fail;
    model->context[{slot_now}] = (int64_t)(intptr_t)now;
    model->context[{slot_stop}] = (int64_t)(intptr_t)&model->stop;
    if (!model->context[{slot_weights}] || !start_threads(model, threads)) {{
        {name}_destroy(model);
        return NULL;
    }}
    return model;
}}

EXPORT int {name}_run({parameters}) {{
{checks}
    int64_t needed = {arena} + 64;
    if (needed < 64) return {invalid_size};
    if (needed > model->arena_size) {{
        free(model->arena);
        model->arena = aligned((size_t)needed);
        model->arena_size = model->arena ? needed : 0;
        if (!model->arena) return {out_of_memory};
        model->context[{slot_arena}] = (int64_t)(intptr_t)model->arena;
    }}
{set_sizes}
{set_inputs}
{set_outputs}
    model->context[{slot_status}] = 0;
    int status = run(model->context, model->inputs, model->outputs, model->sizes);
    while (model->blocks) {{
        block *next = model->blocks->next;
        free(model->blocks);
        model->blocks = next;
    }}
    return status;
}}

EXPORT const char *{name}_error(int status) {{
    switch (status) {{
{cases}
    }}
    return "unknown error";
}}
"""
