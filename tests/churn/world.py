"""The churn's host: 20 instances that must not notice anything, and the packages that come and go beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.installing import based, indexed
from support.wheels import wheel

PREFIX = "CHURN"
FAST, SLOW = 0.1, 1.0

COUNTER = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("COUNT", self.cycle_count)
"""
FOLLOWER = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("SEEN", self.get_pv("SOURCE"))
        self.set_pv("COUNT", self.cycle_count)
"""
JOB = """
from iocmng import JobBase

class Plugin(JobBase):
    def execute(self):
        for step in range(5):
            self.set_pv("STEP", step)
            if not self.sleep(0.02):
                return None
        return {"steps": step + 1}
"""
COUNTS = "arguments: {outputs: {COUNT: {type: int}}}"
SOURCE = f"{{type: int, link: '{PREFIX}:FAST:COUNT', link_mode: monitor}}"
PLUGINS = {
    "fast": (COUNTER, f"parameters: {{interval: {FAST}}}\n{COUNTS}"),
    "slow": (COUNTER, f"parameters: {{interval: {SLOW}}}\n{COUNTS}"),
    "apart": (COUNTER, f"isolation: process\nparameters: {{interval: {FAST}}}\n{COUNTS}"),
    "follower": (
        FOLLOWER,
        f"parameters: {{interval: {FAST}}}\n"
        f"arguments: {{inputs: {{SOURCE: {SOURCE}}}, outputs: {{COUNT: {{type: int}}, SEEN: {{type: int}}}}}}",
    ),
    "rules": (
        "",
        f"parameters: {{interval: {FAST}}}\n"
        f"arguments: {{inputs: {{SOURCE: {SOURCE}}}, outputs: {{HIGH: {{type: bool, value: false}}}}}}\n"
        "rules: [{id: high, condition: SOURCE > 20, outputs: {HIGH: true}}]",
    ),
    "job": (JOB, "arguments: {outputs: {STEP: {type: int}}}"),
}
COUNTS_OF = {"fast": 9, "slow": 4, "apart": 1, "follower": 3, "rules": 2, "job": 1}
"""How many instances of each; the first of each bears its plugin's name."""


def instances() -> dict[str, str]:
    """Plugins by the names of their instances."""
    return {
        f"{plugin}-{number}" if number else plugin: plugin
        for plugin, count in COUNTS_OF.items()
        for number in range(count)
    }


def counters() -> dict[str, float]:
    """The PVs that count cycles, and how many seconds lie between two of these."""
    own = {"rules": "CYCLE_COUNT"}
    return {
        f"{PREFIX}:{name.upper()}:{own.get(plugin, 'COUNT')}": SLOW if plugin == "slow" else FAST
        for name, plugin in instances().items()
        if plugin != "job"
    }


def others() -> list[str]:
    """PVs that change otherwise, so that with the counters each client process has 25."""
    named = ["HOST:HEARTBEAT", "HOST:STATE", "FOLLOWER:SEEN", "RULES:HIGH", "JOB:STATUS", "JOB:STEP"]
    return [f"{PREFIX}:{name}" for name in named]


def write_world(home: Path, confirm_for: float) -> tuple[Path, dict[str, str]]:
    """Write the base and the site file; returns the folder that is the index, and the host's environment."""
    files: dict[str, str | bytes] = {}
    for plugin, (code, config) in PLUGINS.items():
        files |= {f"churn_base/{plugin}/__init__.py": "", f"churn_base/{plugin}/plugin.py": code}
        files[f"churn_base/{plugin}/config.yaml"] = config
    points = {
        plugin: f"churn_base.{plugin}.plugin{':Plugin' if code else ''}"
        for plugin, (code, _) in PLUGINS.items()
    }
    listed = [{"plugin": plugin, "name": name} for name, plugin in instances().items()]
    index, site = indexed(home, {"instances": listed}, confirm_for=confirm_for)
    return index, {**based(home, wheel(home / "wheels", "churn-base", files=files, plugin=points)), **site}


GUEST = """
import threading
from iocmng import TaskBase

WORDS = [f"{{number}} of version {version}" for number in range(2000)]

class Plugin(TaskBase):
    def initialize(self):
        self.lock = threading.Lock()

    def execute(self):
        with self.lock:
            self.set_pv("COUNT", self.cycle_count)
            self.set_pv("CODE", {version})
            self.set_pv("LEVEL", {version} + 0.5)
"""


def guest(index: Path, name: str, version: int) -> str:
    """Write a version of a package that comes and goes; each has other code, limits and ports than the one before.

    Returns:
        What to ask for.
    """
    outputs: dict[str, Any] = {
        "COUNT": {"type": "int"},
        "CODE": {"type": "int"},
        "LEVEL": {"type": "float", "high": version + 10, "unit": f"u{version % 7}"},
        f"EXTRA_{version % 3}": {"type": "float", "value": version},
    }
    inputs = {f"SETPOINT_{version % 2}": {"type": "float", "value": 1.0, "low": 0, "high": version + 1}}
    config = {"parameters": {"interval": FAST}, "arguments": {"inputs": inputs, "outputs": outputs}}
    package = name.replace("-", "_")
    files = {f"{package}/plugin.py": GUEST.format(version=version), f"{package}/config.yaml": repr(config)}
    wheel(index, name, f"1.{version}", plugin=name, files=files)
    return f"{name}==1.{version}"
