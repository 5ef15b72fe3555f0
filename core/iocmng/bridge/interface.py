"""The PV names of a bridge task: templates that are filled with prefixes when an interface is made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, TypeVar

from iocmng.errors import BadInput
from iocmng.names import nearest

I = TypeVar("I", bound="BasePVInterface")  # noqa: E741 - the name of a type variable
_OWN = ("prefixes",)


class _FilledWhenMade(type):
    """Lets templates be filled after the constructor of whatever class was written around them."""

    def __call__(cls, *args: Any, **others: Any) -> Any:
        made = super().__call__(*args, **others)
        made._fill({})
        return made


@dataclass
class BasePVInterface(metaclass=_FilledWhenMade):
    """The records that a bridge task answers; a subclass adds its own as attributes.

    Every text attribute is a template: `position: str = "{main}Pos:RBV"` becomes the PV's name. A name may begin
    with `ca://` or `pva://`.

    Args:
        prefixes: Text for each `{name}` in the templates.

    Raises:
        BadInput: Prefixes are missing; the text names all of them.
    """

    prefixes: Mapping[str, str] = field(default_factory=dict)
    trigger: str = "{main}Trigger"
    busy: str = "{main}Busy"
    heartbeat: str = "{main}Heartbeat"
    task_status: str = "{main}TaskStatus"
    task_duration: str = "{main}TaskDuration"

    @property
    def as_dict(self) -> dict[str, str]:
        """The PV name of each attribute."""
        return dict(self._names())

    @property
    def pv_to_attr(self) -> dict[str, str]:
        """The attribute of each PV name."""
        return {pv: attribute for attribute, pv in self._names()}

    def _names(self) -> Iterator[tuple[str, str]]:
        names: dict[str, Any] = {}
        for layer in (*(vars(cls) for cls in reversed(type(self).__mro__)), vars(self)):
            names.update(layer)
        for name, value in names.items():
            if isinstance(value, str) and not name.startswith("_") and name not in _OWN:
                yield name, value

    def _fill(self, records: Mapping[str, str]) -> None:
        """Take other templates for some attributes, then fill all."""
        standard = [name for name, _ in self._names()]
        for name in records:
            near = nearest(name, standard) if name not in standard else None
            if near is not None:
                raise BadInput(
                    f"{type(self).__name__} has no record {name!r}", hint=f"did you mean {near!r}?"
                )
        vars(self).update(records)
        prefixes = self.prefixes or {}
        templates = dict(self._names())
        missing: dict[str, list[str]] = {}
        for attribute, template in templates.items():
            for prefix in self._fields(attribute, template):
                if prefix not in prefixes:
                    missing.setdefault(prefix, []).append(attribute)
        if missing:
            wanted = "; ".join(f"{prefix} (of {', '.join(of)})" for prefix, of in missing.items())
            raise BadInput(
                f"{type(self).__name__}: prefixes are missing: {wanted}",
                hint=f"given: {', '.join(prefixes) or 'none'}",
            )
        for attribute, template in templates.items():
            setattr(self, attribute, template.format_map(prefixes))

    def _fields(self, attribute: str, template: str) -> list[str]:
        try:
            found = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
        except ValueError as error:
            raise BadInput(f"{type(self).__name__}.{attribute} = {template!r}: {error}") from None
        for name in found:
            if not re.fullmatch(r"\w+", name):
                raise BadInput(
                    f"{type(self).__name__}.{attribute} = {template!r}: {{{name}}} names no prefix",
                    hint="write a word between the braces",
                )
        return found


def make_interface(cls: type[I], prefixes: Mapping[str, str], records: Mapping[str, str]) -> I:
    """Make an interface with other templates for some of its attributes, or with additional ones.

    Args:
        cls: The interface's class.
        prefixes: Text for each `{name}`.
        records: Templates by attribute.

    Raises:
        BadInput: Prefixes are missing, or a record is misspelt.
    """
    made = cls.__new__(cls)
    made.__init__(prefixes=prefixes)  # type: ignore[misc]
    made._fill(records)
    return made
