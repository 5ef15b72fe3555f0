"""`iocmng new`: a plugin package from the template."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from iocmng.errors import BadInput, IocmngError
from iocmng.names import instance_prefix_problem, plugin_name_problem
from iocmng_cli.options import Json
from iocmng_cli.output import print_json

app = typer.Typer()

NEXT_STEPS = """
  cd {directory}
  iocmng validate .        # check it
  iocmng dev .             # edit, save, see it run
  iocmng install .         # into the running host; or, to go on editing it: pip install -e ."""


class Kind(StrEnum):
    """What the new plugin is."""

    TASK = "task"
    JOB = "job"
    DECLARATIVE = "declarative"


@app.command(
    epilog="Example: iocmng new beam-monitor --prefix BEAM\n\nExample: iocmng new ~/plugins/tune --kind job"
)
def new(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory to make; it must not exist.")],
    kind: Annotated[Kind, typer.Option(metavar="task|job|declarative", help="What it is.")] = Kind.TASK,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the plugin; default: the directory's name.")
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="PREFIX", help="Middle part of its PV names; default: the name in upper case."),
    ] = None,
    description: Annotated[
        str, typer.Option(metavar="TEXT", help="What it does, in one sentence.")
    ] = "An iocmng plugin",
    author: Annotated[str, typer.Option(metavar="TEXT", help="Who writes it.")] = "",
    json: Json = False,
) -> None:
    """Make a plugin package that can be installed, tested and run."""
    target = directory.expanduser().resolve()
    plugin = name or target.name
    problem = plugin_name_problem(plugin) or (instance_prefix_problem(prefix) if prefix else None)
    if problem:
        raise BadInput(problem, hint="choose another with --name or --prefix")
    if target.exists():
        raise BadInput(f"{target} exists already", hint="name a directory that does not exist yet")
    answers = {"plugin_name": plugin, "kind": kind.value, "description": description, "author": author}
    if prefix:
        answers["prefix"] = prefix
    bake(template_directory(), target, answers)
    if json:
        print_json({"directory": str(target), "plugin": plugin, "kind": kind})
    else:
        print(f"made {target}: plugin {plugin!r}, a {kind}\n{NEXT_STEPS.format(directory=directory)}")


def template_directory() -> Path:
    """The plugin template: the checkout's when this is one, else the one in the wheel.

    Raises:
        IocmngError: There is neither.
    """
    checkout = Path(__file__).resolve().parents[3] / "plugin-template"
    package = importlib.util.find_spec("iocmng")
    assert package is not None
    homes = package.submodule_search_locations or []
    for candidate in (checkout, *(Path(home) / "template" for home in homes)):
        if (candidate / "cookiecutter.json").is_file():
            return candidate
    raise IocmngError("the plugin template is not installed", hint="install iocmng again")


def bake(template: Path, target: Path, answers: dict[str, str]) -> None:
    """Make `target` from the template without asking; the user's cookiecutter settings are not touched.

    Raises:
        BadInput: The template refuses the answers.
    """
    from cookiecutter.exceptions import CookiecutterException
    from cookiecutter.generate import generate_context, generate_files
    from cookiecutter.prompt import prompt_for_config

    with tempfile.TemporaryDirectory(prefix="iocmng-new-") as scratch:
        context: dict[str, Any] = generate_context(
            context_file=str(template / "cookiecutter.json"),
            extra_context={**answers, "directory": target.name},
        )
        try:
            context["cookiecutter"] = prompt_for_config(context, no_input=True)
            made = generate_files(str(template), context=context, output_dir=scratch)
        except CookiecutterException as error:
            raise BadInput(f"the template refuses {answers}: {error}") from error
        for compiled in [*Path(made).rglob("__pycache__")]:  # pip compiles the installed template as well
            shutil.rmtree(compiled)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, target)
