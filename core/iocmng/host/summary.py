"""What `iocmng run` prints when it serves."""

from __future__ import annotations

from collections.abc import Sequence

from iocmng.client.token import DEFAULT_URL
from iocmng.spec import InstanceSpec
from iocmng.wire import HostView, InstanceView

SHOWN_PVS = 60


def summary(host: HostView, instances: Sequence[tuple[InstanceView, InstanceSpec]]) -> str:
    """The prefix, the plugins with state and number of PVs, their declared PVs, and the URL."""
    note = " (a default: choose one with --prefix)" if host.default_prefix else ""
    lines = [f"iocmng {host.version} serves {host.records} PVs under {host.prefix}{note}"]
    if host.message:
        lines.append(f"SAFE MODE: {host.message}")
    width = max((len(view.name) for view, _ in instances), default=0)
    left = SHOWN_PVS
    for view, spec in instances:
        lines.append(f"  {view.name:{width}}  {view.kind:4}  {view.state:8} {view.pvs:4} PVs  {view.prefix}")
        lines += [f"  {'':{width}}  {finding}" for finding in view.findings if finding.level == "error"]
        lines += [f"  {'':{width}}  {port.record.name}" for port in spec.ports[: max(left, 0)]]
        left -= len(spec.ports)
    if left < 0:
        lines.append(f"  … {-left} more")
    if instances:
        lines.append("  and STATUS, MESSAGE, … of each: iocmng pv list")
    elif not host.message:
        lines.append("  no plugins: pip install one, or make one with: iocmng new DIR")
    lines += [f"! {problem}" for problem in host.problems]
    lines.append(f"CA port {host.ca_port}, PVA port {host.pva_port}, state in {host.state_dir}")
    option = "" if host.url == DEFAULT_URL else f" --url {host.url}"
    lines.append(f"{host.url}  (iocmng list{option}; Ctrl-C stops)")
    return "\n".join(lines)
