"""What the world sees of PVs and instances, made from records and runtime objects."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from iocmng.runtime.coderun import CodeRun
from iocmng.runtime.instance import Instance
from iocmng.runtime.isolation.jobrun import IsolatedJob
from iocmng.runtime.isolation.taskrun import IsolatedTask
from iocmng.runtime.job import JobInstance
from iocmng.runtime.ports import Record, RecordPort
from iocmng.runtime.task import TaskInstance
from iocmng.spec import RecordSpec
from iocmng.wire import InstanceDetail, JobView, ParameterView, PortView, PvView


def pv_view(spec: RecordSpec, record: Record) -> PvView:
    """A PV with what it shows now."""
    reading = record.read()
    value: Any = reading.value
    limits = dict(spec.fields) if spec.writable else {}
    return PvView(
        name=spec.name,
        type=spec.type.value,
        record_type=spec.record_type,
        value=value.tolist() if hasattr(value, "tolist") else value,
        severity=reading.severity.name,
        status=reading.status.name,
        message=reading.message,
        timestamp=reading.timestamp,
        writable=spec.writable,
        unit=spec.unit,
        description=spec.description,
        labels=spec.labels,
        low=float(limits["DRVL"]) if "DRVL" in limits else None,
        high=float(limits["DRVH"]) if "DRVH" in limits else None,
    )


def task_detail(
    instance: Instance, records: RecordPort, parameters: tuple[ParameterView, ...]
) -> InstanceDetail:
    """Everything of one instance."""
    spec = instance.spec

    def show(record: RecordSpec) -> PvView:
        return pv_view(record, records.record(record.name))

    more: dict[str, Any] = {}
    if isinstance(instance, TaskInstance):
        more = {
            **_worker(instance.run),
            "metrics": dict(instance.counters.metrics),
            "health": instance.degraded,
            "last_duration": instance.counters.last_duration,
            "abandoned": instance.abandoned.where(),
            "allowed": instance.allowed(),
            "rules": instance.rule_views(),
            "latched": dict(instance.latched),
            "evaluations": instance.evaluations,
            "unknowns": dict(instance.unknowns),
        }
    elif isinstance(instance, JobInstance):
        more = {
            **_worker(instance.current),
            "abandoned": instance.abandoned.where(),
            "job": job_view(instance),
        }
    return InstanceDetail(
        view=instance.view(),
        parameters=parameters,
        ports=tuple(
            PortView(
                name=port.name,
                direction=port.direction.value,
                pv=show(port.record),
                link=instance.link_view(port.name) if isinstance(instance, TaskInstance) else None,
            )
            for port in spec.ports
        ),
        defaults=tuple(show(record) for record in spec.defaults.values()),
        supervision=asdict(spec.supervision),
        last_error=instance.last_error,
        last_error_time=instance.last_error_time,
        traceback=instance.trace,
        history=tuple(instance.history),
        refused_writes=instance.outputs.refused,
        depends_on=spec.supervision.depends_on,
        config=spec.plugin.author_config,
        module=spec.plugin.target,
        **more,
    )


def _worker(run: CodeRun | None) -> dict[str, Any]:
    """The process of a run that has one."""
    if not isinstance(run, (IsolatedTask, IsolatedJob)):
        return {}
    return {"worker": run.process.pid, "worker_memory": round(run.process.private_memory(), 1)}


def job_view(job: JobInstance) -> JobView:
    """What a job does with requests, and with which it is busy."""
    settings, script, holder = job.spec.job, job.spec.script, job.holder
    own = job.current.run.id if job.current is not None else ""
    return JobView(
        on_busy=settings.on_busy,
        lock=settings.lock or "",
        holder=str(holder) if holder is not None and holder.run != own else "",
        run_timeout=settings.run_timeout,
        keep_runs=settings.keep_runs,
        current=job.current.run.view if job.current is not None else None,
        waiting=job.waiting,
        script=(script.path or " ".join(script.argv) or "named by the request") if script else "",
    )
