"""Run every benchmark and put the figures into docs/performance.md.

Run `python benchmarks/run_all.py [--only NAME]… [--print]`; it takes about an hour.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
from pathlib import Path

from table import machine, markdown, show

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
RUNS = {
    "publish": 3,
    "expressions": 7,
    "cli_list": 12,
    "start": 3,
    "restart_host": 3,
    "arrival": 3,
    "upgrades": 1,
    "idle": 3,
    "lateness": 3,
    "reaction": 3,
    "dead_links": 2,
    "updates": 2,
    "jobs": 3,
    "isolation": 3,
}


def section(name: str, text: str) -> str:
    """The markers around one benchmark's figures."""
    return f"<!-- {name} -->\n{text}\n<!-- end of {name} -->\n"


def replaced(document: str, name: str, text: str) -> str:
    """The document with one benchmark's figures put in place, or added before the end."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->\n"
    if begin in document:
        before, _, rest = document.partition(begin)
        return before + section(name, text) + rest.partition(end)[2]
    before, _, rest = document.partition(END)
    return f"{before}{section(name, text)}\n{END}{rest}"


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(RUNS), help="leave the others as they are")
    parser.add_argument("--print", action="store_true", help="do not write the document")
    asked = parser.parse_args()
    for name, runs in RUNS.items():
        if asked.only and name not in asked.only:
            continue
        module = importlib.import_module(name)
        machine_then = machine()
        rows = module.rows(runs)
        show(name, rows)
        if not asked.print:
            today = datetime.datetime.now(datetime.UTC).date().isoformat()
            heading = f"### {module.__doc__.splitlines()[0].rstrip('.')}\n\n"
            command = f"`python benchmarks/{name}.py {runs}` on {today}; {machine_then}; {runs} runs.\n\n"
            notes = "".join(f"\n{row.what}: {row.note}\n" for row in rows if row.note)
            text = heading + command + markdown(rows) + notes
            DOCUMENT.write_text(replaced(DOCUMENT.read_text(), name, text))


if __name__ == "__main__":
    main()
