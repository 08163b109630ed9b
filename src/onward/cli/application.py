"""The commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

application = typer.Typer(
    name="onward", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Carries a trained model from the framework it was made in to wherever it has to run.",
)  # fmt: skip

ModelPath = Annotated[Path, typer.Argument(help="An ONNX file.", exists=True, dir_okay=False)]
Threads = Annotated[int, typer.Option("--threads", "-t", help="Threads of a run; 0 for one a core.", min=0)]
Size = Annotated[list[str], typer.Option("--size", help="A symbolic dimension for random inputs, as name=number.")]
Feed = Annotated[
    Optional[list[str]],
    typer.Option("--input", "-i", help="An .npz file, or name=FILE with a .npy or .pb file. Random inputs otherwise."),
]


@application.command()
def demo() -> None:
    """Trains a small network, turns it into an ONNX file, compiles it, runs it, and checks the numbers."""
    from onward.cli.demo import run_demo

    raise typer.Exit(run_demo())


@application.command()
def inspect(model: ModelPath, nodes: Annotated[bool, typer.Option(help="List every node.")] = False) -> None:
    """Shows inputs, outputs, operators, parameters, opsets and sizes of a model."""
    from onward.cli.inspect import show_model

    show_model(model, nodes)


@application.command()
def check(model: ModelPath) -> None:
    """Reports everything that is wrong with a model, each with its place."""
    import onward
    from onward.cli.console import console

    onward.check(onward.load(model))
    console.print(f"{model}: [green]valid[/]")


@application.command()
def run(
    model: ModelPath,
    inputs: Feed = None,
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="An .npz file for the outputs.")] = None,
    size: Size = [],  # noqa: B006 (typer copies it)
    threads: Threads = 0,
    seed: Annotated[int, typer.Option(help="Seed of random inputs.")] = 0,
) -> None:
    """Runs a model once and shows its outputs."""
    from onward.cli.running import run_model

    run_model(model, inputs or [], output, size, threads, seed)


@application.command()
def bench(
    model: ModelPath,
    inputs: Feed = None,
    size: Size = [],  # noqa: B006
    threads: Threads = 0,
    runs: Annotated[int, typer.Option(help="Counted runs.", min=1)] = 50,
    peers: Annotated[bool, typer.Option(help="Measure the peers that are installed too.")] = True,
) -> None:
    """Measures latency, beside onnxruntime and OpenVINO where they are installed."""
    from onward.cli.running import bench_model

    bench_model(model, inputs or [], size, threads, runs, peers)


@application.command()
def optimize(
    model: ModelPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    disable: Annotated[Optional[list[str]], typer.Option(help="A rule or pass to leave out.")] = None,
) -> None:
    """Writes the model as the graph passes leave it."""
    import onward
    from onward.cli.console import console

    before = onward.load(model)
    after = onward.optimize(before, disable=tuple(disable or ()))
    onward.save(after, output)
    console.print(f"{len(before.graph.nodes)} nodes -> {len(after.graph.nodes)} nodes, written to {output}")


@application.command()
def profile(
    model: ModelPath,
    inputs: Feed = None,
    size: Size = [],  # noqa: B006
    threads: Threads = 0,
    runs: Annotated[int, typer.Option(help="Runs whose times are averaged.", min=1)] = 20,
    trace: Annotated[Optional[Path], typer.Option(help="Write a Chrome trace to this file.")] = None,
    top: Annotated[int, typer.Option(help="Rows to show.")] = 30,
) -> None:
    """Shows where the time goes, kernel by kernel: time, GFLOP/s, bytes, and the nodes each one computes."""
    from onward.cli.profile import profile_model

    profile_model(model, inputs or [], size, threads, runs, trace, top)


@application.command()
def build(
    model: ModelPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")],
    name: Annotated[Optional[str], typer.Option(help="Name of the library; the file's name by default.")] = None,
    embed: Annotated[bool, typer.Option(help="Put the weights into the library.")] = False,
) -> None:
    """Builds a shared library with a C header from a model; it needs nothing but libc."""
    import onward
    from onward.cli.console import bytes_text, console

    for path in onward.build(model, output, name=name, embed_weights=embed):
        console.print(f"{path}  {bytes_text(path.stat().st_size)}")
