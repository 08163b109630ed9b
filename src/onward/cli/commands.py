"""The commands. What they do stands in the modules beside this one; each is imported when it is used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Compiles ONNX models into one native function for this processor, runs them, and looks into them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _onnx_file(path: Path) -> Path:
    """Refuses folders, and files that are models of another framework by their names: to the reader of ONNX they would be damaged ones."""
    from onward.converters.frameworks import foreign

    found = foreign(path)
    if found is not None:
        raise typer.BadParameter(f"'{path}' is a model of {found.title}; this is for ONNX files, which `onward convert {path} -o MODEL.onnx` makes of it")
    if path.is_dir():
        raise typer.BadParameter(f"'{path}' is a folder, no ONNX file")
    return path


ModelPath = Annotated[Path, typer.Argument(help="An ONNX file.", exists=True, readable=True, callback=_onnx_file)]
Inputs = Annotated[list[str], typer.Option("--input", "-i", metavar="[NAME=]FILE", help="An input from .npy, .npz or .pb; random if not given.")]
Sizes = Annotated[list[str], typer.Option("--size", "-s", metavar="NAME=NUMBER", help="The size of a symbolic axis.")]
Threads = Annotated[int, typer.Option("--threads", "-t", min=0, help="Threads; 0 for one a core.")]
Seed = Annotated[int, typer.Option(help="Seed of the random inputs.")]


def _version(wanted: bool) -> None:
    if wanted:
        import onward

        typer.echo(f"onward {onward.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Compiles ONNX models into one native function for this processor, runs them, and looks into them."""


@app.command()
def demo() -> None:
    """Train a small network, take it all the way to machine code, and check its answers."""
    # The matrices of the training are small: a second thread of NumPy's gains nothing, and costs 8x on a busy machine
    # (measured), because the threads wait by spinning. NumPy reads this when it is first imported, which is below.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from onward.cli.demo import run_demo

    raise typer.Exit(0 if run_demo() else 1)


@app.command()
def inspect(
    model: ModelPath,
    depth: Annotated[int, typer.Option("--depth", "-d", min=0, help="How deep the tree of modules goes.")] = 4,
    operators: Annotated[bool, typer.Option("--operators", help="Show every operator.")] = False,
) -> None:
    """Show what is in a model: inputs, outputs, parameters, modules, operators."""
    import onward
    from onward.cli.inspection import show_model

    show_model(onward.load(model), depth, operators)


@app.command()
def check(
    model: ModelPath,
    shapes: Annotated[bool, typer.Option(help="Also infer and check all shapes.")] = True,
) -> None:
    """Say everything that is wrong with a model. The exit code is 1 if something is."""
    import onward
    from onward.cli.output import console
    from onward.operators import unsupported_operators

    loaded = onward.load(model)
    onward.check(loaded, shapes=shapes)
    console.print(f"{model}: nothing wrong")
    missing = unsupported_operators(loaded)
    if missing:
        console.print(f"but these operators are not implemented here: {', '.join(missing)}")


def prepare_feeds(model: Any, inputs: list[str], sizes: list[str], seed: int) -> dict[str, Any]:
    """The feeds: files, and random arrays for the rest; says what was assumed."""
    from onward.cli.feeds import assumed_sizes, model_inputs, parse_sizes, random_feeds, read_feeds
    from onward.cli.output import errors

    wanted = model_inputs(model)
    feeds = read_feeds(inputs, [value.name for value in wanted])
    rest = [value for value in wanted if value.name not in feeds]
    known = parse_sizes(sizes)
    assumed = assumed_sizes(rest, known)
    if rest:
        note = "".join(f", {name}={number}" for name, number in assumed.items())
        errors.print(f"random inputs: {', '.join(value.name for value in rest)}{note and '; assumed' + note[1:]}", style="dim")
    return {**feeds, **random_feeds(rest, known, seed)}


@app.command()
def run(
    model: ModelPath,
    inputs: Inputs = [],  # noqa: B006 (typer copies it)
    sizes: Sizes = [],  # noqa: B006
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the outputs to this .npz.")] = None,
    threads: Threads = 0,
    seed: Seed = 0,
) -> None:
    """Run a model once, and show or save its outputs."""
    import onward
    from onward.cli.measurement import session_options
    from onward.cli.results import save_outputs, show_outputs
    from onward.runtime import InferenceSession

    feeds = prepare_feeds(onward.load(model), inputs, sizes, seed)
    session = InferenceSession(model, session_options(threads))
    results = dict(zip([item.name for item in session.get_outputs()], session.run(None, feeds)))
    show_outputs(results)
    if output is not None:
        save_outputs(results, output)


@app.command()
def bench(
    model: ModelPath,
    inputs: Inputs = [],  # noqa: B006
    sizes: Sizes = [],  # noqa: B006
    threads: Threads = 0,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long to measure.")] = 10.0,
    peers: Annotated[bool, typer.Option(help="Measure the other runtimes that are installed, by turns.")] = True,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16: operands of products may be rounded to it.")] = "float32",
    seed: Seed = 0,
) -> None:
    """Measure the latency of a model: median and 95th percentile."""
    import onward
    from onward.cli.measurement import installed_peers, load_onward, load_peer, measure, show_bench

    feeds = prepare_feeds(onward.load(model), inputs, sizes, seed)
    contestants = [load_onward(model, feeds, threads, precision)]
    for name in installed_peers() if peers else []:
        contestants.append(load_peer(name, model, feeds, threads, precision))
    measure(contestants, seconds)
    show_bench(contestants)


@app.command()
def profile(
    model: ModelPath,
    inputs: Inputs = [],  # noqa: B006
    sizes: Sizes = [],  # noqa: B006
    threads: Threads = 0,
    runs: Annotated[int, typer.Option(min=1, help="How many runs the medians are of.")] = 20,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many kernels to list.")] = 20,
    trace: Annotated[Path | None, typer.Option(help="Write a Chrome trace (chrome://tracing, ui.perfetto.dev).")] = None,
    seed: Seed = 0,
) -> None:
    """Show where the time goes, kernel by kernel, with the nodes that each computes."""
    import onward
    from onward.cli.measurement import profile_kernels, session_options, show_profile, write_trace
    from onward.runtime import InferenceSession

    feeds = prepare_feeds(onward.load(model), inputs, sizes, seed)
    session = InferenceSession(model, session_options(threads, profile=True))
    kernels = profile_kernels(session, feeds, runs)
    show_profile(kernels, most)
    if trace is not None:
        write_trace(kernels, trace)


@app.command()
def optimize(
    model: ModelPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the optimised model goes.")],
    disable: Annotated[list[str], typer.Option(metavar="RULE", help="A rule or pass to leave out.")] = [],  # noqa: B006
    sizes: Sizes = [],  # noqa: B006
) -> None:
    """Write a model that computes the same with less work, and say which rules fired."""
    import onward
    from onward.cli.feeds import parse_sizes
    from onward.cli.output import console
    from onward.passes.rewrite import Report

    report = Report()
    onward.save(onward.optimize(model, disable=disable, dimensions=parse_sizes(sizes), report=report), output)
    console.print(str(report), markup=False)


@app.command()
def build(
    model: ModelPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")],
    name: Annotated[str | None, typer.Option(help="A C identifier; the file's name by default.")] = None,
    target: Annotated[str | None, typer.Option(help="host, generic, avx2 or avx512.")] = None,
    embed_weights: Annotated[bool, typer.Option("--embed-weights", help="Put the weights into the library.")] = False,
) -> None:
    """Write a shared library with a C interface, its header, and the weights."""
    import onward
    from onward.cli.output import console, size

    for path in onward.build(model, output, name=name, target=target, embed_weights=embed_weights):
        console.print(f"{path}  {size(path.stat().st_size)}", markup=False)
