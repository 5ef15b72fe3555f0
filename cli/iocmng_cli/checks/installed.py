"""Whether what was installed through the host is what should be: lock, generations, environment and what waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from iocmng.wire import Finding, GenerationView, Level, Where

CODE = "generation"
NOT_KEPT = "mend it, then install it again; iocmng generations lists what is there"


def check_installed(state_dir: Path) -> Iterator[Finding]:
    """Look at the generations of a state directory; without any there is nothing to say."""
    from iocmng.plugins.installing.drift import inspect
    from iocmng.plugins.installing.generations import Generations
    from iocmng.plugins.installing.model import NOTHING

    found = [replace(one, hint=one.hint or "iocmng install --from-lock") for one in inspect(state_dir)]
    yield from found
    generations = Generations(state_dir)
    pointer, views = generations.pointer(), {view.number: view for view in generations.listed()}
    place = Where(file=str(generations.folder))
    if pointer.pending is not None:
        tried = f", and was tried {pointer.attempts} times" if pointer.attempts else ""
        yield Finding(
            Level.WARNING,
            CODE,
            f"generation {pointer.pending} waits for a restart of the host{tried}",
            place,
            "iocmng restart-host takes it over, iocmng rollback drops it",
        )
    rejected = max(pointer.rejected, default=NOTHING)
    if rejected > pointer.current:
        text = f"generation {rejected} was not kept: {pointer.rejected[rejected]}"
        yield Finding(Level.WARNING, CODE, text, place, NOT_KEPT)
    current = views.get(pointer.current)
    if current is not None and not any(one.level is not Level.NOTE for one in found):
        yield Finding(
            Level.NOTE, CODE, f"generation {current.number} is as locked: {_content(current)}", place
        )


def site_folders(state_dir: Path) -> tuple[str, ...]:
    """The folder that a host with this state directory imports plugins from besides its environment, when it can."""
    from iocmng.errors import InstallFailed, NotFound
    from iocmng.plugins.installing.generations import Generations, usable

    generations = Generations(state_dir)
    pointer = generations.pointer()
    try:
        generation = generations.get(pointer.current if pointer.pending is None else pointer.pending)
    except (NotFound, InstallFailed):
        return ()
    return () if usable(generation) else (str(generation.site),)


def _content(view: GenerationView) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(view.distributions.items())) or "nothing"
