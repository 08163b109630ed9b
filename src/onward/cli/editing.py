"""The commands that make a model of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onward.cli.commands import ModelPath, app

Output = Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")]
Names = Annotated[list[str], typer.Argument(metavar="OLD=NEW", help="A value and its new name.")]


@app.command()
def upgrade(
    model: ModelPath,
    output: Output,
    opset: Annotated[list[str], typer.Option(metavar="[DOMAIN=]VERSION", help="The version wanted, newer or older.")],
) -> None:
    """Write the model in other versions of its operator sets, or say which nodes cannot be."""
    import onward

    wanted = {}
    for item in opset:
        domain, _, version = item.rpartition("=")
        if not version.isdecimal():
            raise onward.errors.InvalidArgument(f"--opset {item}: expected VERSION or DOMAIN=VERSION")
        wanted[domain] = int(version)
    onward.save(onward.convert_version(onward.load(model), wanted), output)


@app.command()
def inline(model: ModelPath, output: Output) -> None:
    """Put the bodies of functions in the place of their calls."""
    import onward

    onward.save(onward.inline(onward.load(model)), output)


@app.command()
def extract(
    model: ModelPath,
    output: Output,
    inputs: Annotated[list[str], typer.Option("--from", metavar="VALUE", help="A value that becomes an input.")] = [],  # noqa: B006
    outputs: Annotated[list[str], typer.Option("--to", metavar="VALUE", help="A value that becomes an output.")] = [],  # noqa: B006
) -> None:
    """Cut out the part of a model between some values."""
    import onward

    loaded = onward.load(model)
    wanted = outputs or [value.name for value in loaded.graph.outputs]
    onward.save(onward.extract(loaded, inputs or None, wanted), output)


@app.command()
def merge(
    first: ModelPath,
    second: ModelPath,
    output: Output,
    connect: Annotated[list[str], typer.Option(metavar="OUTPUT=INPUT", help="What the second takes of the first.")] = [],  # noqa: B006
    prefix1: Annotated[str, typer.Option(help="Goes before all names of the first.")] = "",
    prefix2: Annotated[str, typer.Option(help="Goes before all names of the second.")] = "",
) -> None:
    """Run one model after another, as one."""
    import onward

    pairs = [_pair(item) for item in connect] or None
    onward.save(onward.merge(onward.load(first), onward.load(second), pairs, prefix1=prefix1, prefix2=prefix2), output)


@app.command()
def rename(
    model: ModelPath,
    output: Output,
    names: Names = [],  # noqa: B006
    prefix: Annotated[str, typer.Option(help="Goes before all names.")] = "",
) -> None:
    """Give values other names."""
    import onward

    renamed = onward.rename(onward.load(model), dict(_pair(item) for item in names))
    onward.save(onward.add_prefix(renamed, prefix), output)


@app.command()
def external(
    model: ModelPath,
    output: Output,
    data: Annotated[str | None, typer.Option(help="The file beside the model for its tensors; without it they go inside.")] = None,
    threshold: Annotated[int, typer.Option(help="Bytes from which on a tensor is moved.")] = 1024,
) -> None:
    """Move the tensors of a model into a file of their own, or back into the model."""
    import onward

    onward.save(onward.load(model), output, external_data=data, size_threshold=threshold)


@app.command()
def infer(model: ModelPath, output: Output) -> None:
    """Write the model with the type and shape of every value."""
    import onward

    onward.save(onward.infer_shapes(onward.load(model)), output)


def _pair(item: str) -> tuple[str, str]:
    from onward.errors import InvalidArgument

    left, separator, right = item.partition("=")
    if not separator or not left or not right:
        raise InvalidArgument(f"'{item}' is no pair: expected NAME=NAME")
    return left, right
