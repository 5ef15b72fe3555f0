"""Runs declarative tasks with the package of the previous system, in an environment that has that one installed.

`python previous_run.py CONFIGS.yaml`: a mapping of PV prefix to config; `parameters.pva` of the first one chooses the
provider for all. It does what that package's own runner does, in the same order, for each of them. Each line on its
input is answered with the number of changes of inputs that its tasks were told of so far.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import yaml


def main() -> None:
    """Build all records, serve them, start all tasks, wait for the end of the input."""
    from iocmng.core.plugin_spec import PluginSpec
    from softioc import builder, softioc

    from iocmng.core import pv_client
    from iocmng.declarative import DeclarativeTask

    class Counting(DeclarativeTask):
        changes = 0

        def on_input_changed(self, key: str, value: object, old_value: object) -> None:
            self.changes += 1

    logging.basicConfig(level=logging.INFO, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    configs = yaml.safe_load(Path(sys.argv[1]).read_text())
    first = next(iter(configs.values()))
    pv_client.init(pva=first.get("parameters", {}).get("pva", True))
    tasks = []
    for prefix, config in configs.items():
        spec = PluginSpec.from_config(config=config, default_prefix=prefix)
        task = Counting(
            name=prefix.replace(":", "_").lower(),
            parameters=dict(spec.parameters),
            pv_definitions=spec.pv_definitions,
            prefix=prefix,
            plugin_prefix=spec.prefix,
            plugin_spec=spec,
        )
        task.pv_prefix = prefix
        builder.SetDeviceName(prefix)
        task.build_pvs()
        tasks.append(task)
    builder.LoadDatabase()
    softioc.iocInit()
    for task in tasks:
        task.initialize()
        # Over CA, starting several at once ends the process with a segmentation fault.
        task.start()
    print("serving", flush=True)
    for _ in sys.stdin:
        print(sum(task.changes for task in tasks), flush=True)


if __name__ == "__main__":
    main()
