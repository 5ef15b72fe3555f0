"""What the soak runs: 50 instances of five plugin directories, and what each of them is to do about its faults."""

from __future__ import annotations

from pathlib import Path

import yaml
from support.started import Plugins, write_plugins

FAULTS = ("none", "cycle", "start", "stop", "hang", "slow", "die")
"""States of a task's input FAULT: where it raises, hangs beyond `stall_after`, is slow, or ends its process."""

BODY = """
    def initialize(self):
        if self.get_pv("FAULT") == 2:
            raise RuntimeError("start")

    def execute(self):
        fault = self.get_pv("FAULT")
        if fault == 1:
            raise ValueError("cycle")
        if fault == 4:
            HANG(2.5)
        if fault == 5:
            self.sleep(0.3)
        if fault == 6:
            DIE()
        self.set_pv("COUNT", self.cycle_count)

    def cleanup(self):
        if self.get_pv("FAULT") == 3:
            raise OSError("stop")
"""
TASK = f"""
import sys
import time
from iocmng import TaskBase

HANG, DIE = time.sleep, sys.exit

class Plugin(TaskBase):{BODY}"""
CONFIG = f"""
parameters: {{interval: 0.1}}
arguments:
  inputs: {{FAULT: {{type: enum, labels: [{", ".join(FAULTS)}], value: 0, autosave: false}}}}
  outputs: {{COUNT: {{type: int}}}}
supervision: {{restart_sec: 0.1, restart_max_sec: 0.4, stall_after: 1.0, stop_timeout: 5.0}}
"""
COTHREAD = f"""
import sys
import cothread
from iocmng import TaskBase

HANG, DIE = cothread.Sleep, sys.exit

class Plugin(TaskBase):{BODY}"""
WORKER = TASK.replace(
    "DIE = time.sleep, sys.exit", "DIE = time.sleep, lambda: os.kill(os.getpid(), 11)"
).replace("import sys", "import os")
JOB = """
import time
from iocmng import JobBase

class Plugin(JobBase):
    def execute(self):
        for step in range(self.get_pv("STEPS")):
            print(f"step {step}")
            if self.get_pv("FAIL") and step == 2:
                raise RuntimeError("step 2")
            if not self.sleep(0.05):
                return None
        return {"steps": step}
"""
JOB_CONFIG = """
arguments: {inputs: {STEPS: {type: int, value: 3}, FAIL: {type: bool}}}
job: {keep_runs: 2000}
"""
SCRIPT = """
import os, subprocess, sys, time
steps, fail = int(sys.argv[sys.argv.index("--STEPS") + 1]), "--FAIL" in sys.argv
print("a script of", steps, flush=True)
if fail:
    subprocess.Popen(["sleep", "1000"])
    os.kill(os.getpid(), 9)
time.sleep(0.05 * steps)
"""
SCRIPT_CONFIG = """
script: {path: walk.py, stop_grace: 1.0, args: [{name: STEPS, type: int}, {name: FAIL, type: bool}]}
arguments: {inputs: {STEPS: {type: int, value: 3}, FAIL: {type: bool}}}
job: {keep_runs: 2000}
"""
PLUGINS: Plugins = {
    "walker": (TASK, CONFIG),
    "cowalker": (COTHREAD, "engine: cothread" + CONFIG),
    "worker": (WORKER, "isolation: process" + CONFIG),
    "job": (JOB, JOB_CONFIG),
    "script": ("from iocmng import ScriptJob\n\nclass Plugin(ScriptJob):\n    pass\n", SCRIPT_CONFIG),
}
COUNTS = {"walker": 24, "cowalker": 8, "worker": 4, "job": 8, "script": 6}
POLICIES = (
    {"restart": "on-failure"},
    {"restart": "no"},
    {"restart": "on-failure", "restart_max": 2, "restart_window": 600},
    {"restart": "always", "on_stall": "restart"},
)
"""Of the tasks, in turn."""


def instances() -> dict[str, str]:
    """Plugins by the names of their instances."""
    return {f"{plugin}-{number}": plugin for plugin, count in COUNTS.items() for number in range(count)}


def policy(name: str) -> dict[str, object]:
    """What a task's policy is."""
    return dict(POLICIES[int(name.rpartition("-")[2]) % len(POLICIES)])


def write_world(home: Path) -> dict[str, str]:
    """Write the plugins and the site file; returns the environment that has a host take them."""
    environment = write_plugins(home, PLUGINS)
    (home / "script" / "walk.py").write_text(SCRIPT)
    listed = [
        {"plugin": plugin, "name": name}
        | ({} if plugin in ("job", "script") else {"supervision": policy(name)})
        for name, plugin in instances().items()
    ]
    site = home / "site.yaml"
    site.write_text(yaml.safe_dump({"only_listed": True, "instances": listed}))
    return {**environment, "IOCMNG_CONFIG": str(site)}
