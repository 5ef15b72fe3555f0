"""Writes the reference pages from the code; with `--check` it only says which are out of date."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
NOTE = "<!-- Made by docs/generate.py. Change the code, then run it. -->\n\n"
ESCAPED = r"\|"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return (
        "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
        + "\n"
    )


def code(text: object) -> str:
    """`text` as code, or nothing for nothing."""
    return f"`{text}`" if text not in ("", None) else ""


def word(schema: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """The type of a JSON Schema in a few words."""
    if "$ref" in schema:
        return word(known[schema["$ref"].rpartition("/")[2]], known)
    if "enum" in schema:
        return ", ".join(code(choice) for choice in schema["enum"] if choice)
    if "const" in schema:
        return code(schema["const"])
    if options := schema.get("anyOf"):
        return " or ".join(
            dict.fromkeys(word(option, known) for option in options if option != {"type": "null"})
        )
    if schema.get("type") == "array":
        return f"list of {word(schema.get('items', {}), known)}"
    return {"object": "mapping", "number": "number", "integer": "int", "boolean": "bool"}.get(
        str(schema.get("type", "any value")), str(schema.get("type", "any value"))
    )


def keys(schema: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """The keys of one model as a table."""
    required = schema.get("required", [])
    rows = []
    for name, entry in schema.get("properties", {}).items():
        default = "required" if name in required else code(plain(entry.get("default")))
        rows.append((code(name), word(entry, known), default, entry.get("description", "")))
    return table(("key", "type", "default", "meaning"), rows)


def plain(value: object) -> str:
    """A default as YAML would say it; a mapping is described by its own table."""
    if value is None or isinstance(value, dict):
        return ""
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def models(title: str, intro: str, top: Mapping[str, Any]) -> str:
    """A page of tables: the top model, then each model in it under its key path."""
    known = top.get("$defs", {})
    parts = [NOTE, f"# {title}\n\n{intro}\n\n", keys(top, known)]
    for path, name in paths(top, known):
        parts += [f"## {path}\n\n", f"{known[name].get('description', '')}\n\n", keys(known[name], known)]
    return "".join(parts)


def paths(schema: Mapping[str, Any], known: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Key paths of the models inside a model, with the models' names; `NAME` stands for any key."""
    for key, entry in schema.get("properties", {}).items():
        for suffix, name in references(entry):
            if "properties" in known[name]:
                path = f"{above}{key}{suffix}"
                yield path, name
                yield from paths(known[name], known, f"{path}.")


def references(entry: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """The models that one key can hold, each with what comes between the key and the model."""
    if "$ref" in entry:
        yield "", entry["$ref"].rpartition("/")[2]
    for option in entry.get("anyOf", ()):
        yield from references(option)
    if isinstance(entry.get("items"), dict):
        yield from references(entry["items"])
    if isinstance(entry.get("additionalProperties"), dict):
        for suffix, name in references(entry["additionalProperties"]):
            yield f".NAME{suffix}", name


def config_page() -> str:
    """Keys of config.yaml."""
    from iocmng.config.schema import schema

    intro = (
        "The config that a plugin package carries. Unknown keys are refused, with the nearest known one. "
        "`iocmng schema` prints the same as JSON Schema, which editors complete from."
    )
    return models("config.yaml", intro, schema())


def site_page() -> str:
    """Keys of the site file."""
    from iocmng.settings.schema import schema

    return models(
        "The site file", "`iocmng.yaml`: how one host is set up. Every key may be left out.", schema()
    )


def pvs_page() -> str:
    """The default PVs of tasks, jobs and the host."""
    from iocmng.spec import Mode, RecordSpec
    from iocmng.spec.defaults import Wiring, host_records, job_defaults, task_defaults

    def rows(records: Mapping[str, RecordSpec]) -> Iterable[Sequence[str]]:
        for name, record in records.items():
            states = ", ".join(f"{index} {label}" for index, label in enumerate(record.labels))
            access = "yes" if record.writable else ""
            meaning = "; ".join(filter(None, (record.description, states)))
            yield code(name), record.record_type, record.unit, access, meaning

    headings = ("PV", "record", "unit", "writable", "meaning")
    triggered = task_defaults("T", Mode.TRIGGERED)
    wiring = Wiring(inputs=("IN",), outputs=("OUT",), groups=("<group>",))
    task = {**task_defaults("T", Mode.CONTINUOUS, wiring), "RUN": triggered["RUN"]}
    return "".join(
        (
            NOTE,
            "# PVs\n\nBeside the ports that a config declares, every instance serves these. The full name is "
            "`<host prefix>:<instance prefix>:<PV>`, at most 60 characters. PVs that are not writable refuse "
            "puts over CA and PVA.\n\n",
            "## Of a task\n\n`CYCLE_COUNT` of continuous and reactive tasks, `RUN` of triggered ones; `CONN_INP` and "
            "`CONN_OUT` with their names only where something is linked, in declaration order; `<group>_FIRST` "
            "of each first-out group of rules.\n\n",
            table(headings, rows(task)),
            "## Of a job\n\n",
            table(headings, rows(job_defaults("J"))),
            "## Of the host\n\nUnder `<host prefix>:HOST`.\n\n",
            table(headings, rows(host_records("H"))),
        )
    )


def states_page() -> str:
    """The state table of tasks as a table and as a diagram."""
    from iocmng.lifecycle import TABLE, VERBS, State, Trigger

    rows = []
    for state in State:
        cells = []
        for verb in VERBS:
            after = TABLE.get((state, verb))
            cells.append("-" if after is None else "=" if after is state else after.name)
        others = [
            f"{trigger} → {TABLE[state, trigger].name}"
            for trigger in Trigger
            if trigger not in VERBS and (state, trigger) in TABLE and trigger is not Trigger.REJECTED
        ]
        rows.append((f"**{state.name}**", *cells, ", ".join(others)))
    edges = sorted(
        {
            (before.name, after.name, trigger.value)
            for (before, trigger), after in TABLE.items()
            if before is not after and trigger is not Trigger.REJECTED
        }
    )
    diagram = "".join(f"    {before} --> {after}: {trigger}\n" for before, after, trigger in edges)
    return (
        f"{NOTE}# States of a task\n\n"
        "`-` is refused, with the list of what is allowed; `=` is the state it is in already. Code or config "
        "that is refused leads to INVALID from every state.\n\n"
        + table(("state", *(verb.value for verb in VERBS), "by itself"), rows)
        + f"```mermaid\nstateDiagram-v2\n    [*] --> INIT\n{diagram}```\n"
    )


def findings_page() -> str:
    """The codes of validation."""
    from iocmng.plugins.codes import CODES

    rows = [(code(name), entry.means, entry.do) for name, entry in sorted(CODES.items())]
    return (
        f"{NOTE}# Findings\n\nWhat `iocmng validate`, `iocmng list` and a starting host say about a plugin: "
        "`file:line:column: level: message (hint) [code]`. An error makes the plugin INVALID; a warning or a "
        "note does not.\n\n" + table(("code", "means", "do"), rows)
    )


def hooks_page() -> str:
    """The hook specifications."""
    from iocmng.plugins.hookspecs import HookSpecs

    parts = [NOTE, "# Hooks\n\n", inspect.cleandoc(HookSpecs.__doc__ or ""), "\n\n"]
    parts.append(
        "A package advertises a module with implementations in the entry-point group `iocmng.hooks`; each is "
        "marked with `@hookimpl` from `iocmng`.\n"
    )
    for name, function in inspect.getmembers(HookSpecs, inspect.isfunction):
        names = [argument for argument in inspect.signature(function).parameters if argument != "self"]
        parts.append(f"\n## {name}({', '.join(names)})\n\n{sections(inspect.getdoc(function) or '')}\n")
    return "".join(parts)


def sections(text: str) -> str:
    """A docstring whose Args and Returns become lists."""
    text = re.sub(r"^Args:$", "Arguments:\n", text, flags=re.M)
    text = re.sub(r"^Returns:$", "Result:\n", text, flags=re.M)
    text = re.sub(r"^    (\w+): ", r"* `\1`: ", text, flags=re.M)
    return re.sub(r"^    (?!    )(?=\S)", "", text, flags=re.M)


def http_page() -> str:
    """The endpoints of the admin endpoint."""
    import json

    described = json.loads((DOCS / "openapi.json").read_text())
    same = re.compile(r"/api/v1/(tasks|jobs)(/|$)")
    rows = [
        (method.upper(), code(path), operation.get("summary", ""))
        for path, methods in described["paths"].items()
        if same.sub(r"/api/v1/plugins\2", path) == path
        or same.sub(r"/api/v1/plugins\2", path) not in described["paths"]
        for method, operation in methods.items()
    ]
    return (
        f"{NOTE}# HTTP\n\nThe admin endpoint, by default on `http://127.0.0.1:8080`. What changes "
        "something asks for `Authorization: Bearer <token>`. Errors are `application/problem+json` with "
        "`code`, `detail` and `hint`. All of it is in [openapi.json](../openapi.json), which the host serves "
        "at `/openapi.json`. What stands under `/plugins` is there for tasks under `/tasks` and for "
        "jobs under `/jobs` too.\n\n" + table(("method", "path", "does"), rows)
    )


def commands_page() -> str:
    """Help of every command."""
    from iocmng_cli.reference import reference

    return reference()


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/config.md": config_page,
    "reference/site.md": site_page,
    "reference/pvs.md": pvs_page,
    "reference/states.md": states_page,
    "reference/findings.md": findings_page,
    "reference/hooks.md": hooks_page,
    "reference/http.md": http_page,
    "cli.md": commands_page,
}


def outdated() -> dict[str, str]:
    """The pages whose committed text differs from what the code says, with what it says."""
    made = {name: make().rstrip() + "\n" for name, make in PAGES.items()}
    return {
        name: text
        for name, text in made.items()
        if not (DOCS / name).is_file() or (DOCS / name).read_text() != text
    }


def main() -> int:
    """Write or check the pages; the exit code of `--check` is 1 when one is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args().check
    different = outdated()
    for name, text in different.items():
        print(f"{'out of date' if check else 'written'}: docs/{name}")
        if not check:
            (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
            (DOCS / name).write_text(text)
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main())
