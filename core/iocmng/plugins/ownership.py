"""Which files, and so which loaded modules, belong to which distribution: by its file records, never by names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from iocmng.plugins.environment import Installed, canonical
from iocmng.plugins.location import SUFFIXES
from iocmng.plugins.sitepath import used_sites

_LIBRARY = (".so", ".pyd", ".dylib", ".dll")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedDistribution:
    """A distribution that an operation adds (`before` is None), removes (`after` is None) or changes.

    `name` is canonical. With equal versions it is one that stays as it is, and is loaded anew because it
    stands on one that changes; see `iocmng.plugins.hot.with_dependents`.
    """

    name: str
    before: Installed | None = None
    after: Installed | None = None


@dataclass(frozen=True, slots=True)
class Owned:
    """A loaded module (or what stands in its place in `sys.modules`) of a distribution's canonical name."""

    key: str
    module: Any
    distribution: str


class _File(NamedTuple):
    """A recorded file, the real folder it is relative to, and the distribution it is of."""

    folder: str
    file: str
    distribution: str


def _dotted(file: str) -> set[str]:
    """The module that a recorded file is, if it is one."""
    *folders, name = file.split("/")
    if not name.endswith(SUFFIXES) or "__pycache__" in folders or ".." in folders:
        return set()
    stem = name.partition(".")[0]
    return {".".join(folders if stem == "__init__" else [*folders, stem])} - {""}


def is_library(file: str) -> bool:
    """Whether a file is compiled code: an extension module or a shared library (`libx.so.3`)."""
    name = os.path.basename(file)
    return name.endswith(_LIBRARY) or ".so." in name


_class_attributes: Any = type.__dict__["__dict__"].__get__


def attributes(thing: object) -> Mapping[str, Any]:
    """The attributes of a module or object without running code of it: a lazy module stays unloaded."""
    try:
        found: Any = object.__getattribute__(thing, "__dict__")
    except Exception:  # noqa: BLE001 - a border: classes of proxies have code of their own even here
        return {}
    return found if issubclass(type(found), dict) else {}


def class_attributes(cls: type) -> Mapping[str, Any]:
    """The attributes of a class itself without running code of its metaclass."""
    found: Mapping[str, Any] = _class_attributes(cls)
    return found


def is_a(thing: object, *kinds: type) -> bool:
    """Like `isinstance`, but what a thing says of its class does not count: proxies run code when asked."""
    return issubclass(type(thing), kinds)


class Ownership:
    """The files of some distributions.

    Args:
        distributions: The distributions; one without file records owns nothing.
    """

    def __init__(self, distributions: Iterable[Installed]) -> None:
        self._real: dict[str, str] = {}
        self._files: dict[str, list[_File]] = {}
        self.packages: set[str] = set()
        """First parts of dotted module names that the records hold."""
        self.modules: set[str] = set()
        """Dotted names of all modules that the records hold."""
        for one in distributions:
            name = canonical(one.name)
            folder = os.path.realpath(one.folder)
            for file in one.files:
                self._files.setdefault(file.rpartition("/")[2], []).append(_File(folder, file, name))
                first, _, rest = file.partition("/")
                if first not in ("..", "") and not first.endswith((".dist-info", ".pth")):
                    self.packages.add(first if rest else first.partition(".")[0])
                self.modules |= _dotted(file)

    def _resolved(self, file: str) -> str:
        folder, name = os.path.split(os.path.normpath(file))
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return os.path.join(self._real[folder], name)

    def of_file(self, file: object) -> str:
        """The distribution of a file, "" when it is of none of them."""
        if not isinstance(file, str) or (files := self._files.get(file.rpartition(os.sep)[2])) is None:
            return ""
        return _owner_among(files, file) or _owner_among(files, self._resolved(file))

    def of_module(self, module: object) -> str:
        """The distribution of a module, "" when it is of none of them; runs no code of it."""
        found = attributes(module)
        spec = found.get("__spec__")
        for file in (found.get("__file__"), attributes(spec).get("origin")):
            if owner := self.of_file(file):
                return owner
        if is_a(module, ModuleType):
            return ""
        # An object that a module put in its own place: its class was made there.
        for value in list(class_attributes(type(module)).values()):
            if type(value) is FunctionType and (owner := self.of_file(value.__code__.co_filename)):
                return owner
        return ""

    def loaded(self) -> tuple[Owned, ...]:
        """What is loaded of the distributions, with what hangs below it in `sys.modules`.

        Besides the modules of their files that is what a package put below itself by hand, and namespace
        packages (folders without `__init__`) in which nothing else is loaded.
        """
        modules = list(sys.modules.items())
        owned = {key: owner for key, module in modules if (owner := self.of_module(module))}
        tops = {key.partition(".")[0] for key in owned}
        near = {key: module for key, module in modules if key.partition(".")[0] in tops}
        for key, module in sorted(near.items(), key=lambda item: item[0]):
            parent = key.rpartition(".")[0]
            if key not in owned and parent in owned and not _placed(module, key):
                owned[key] = owned[parent]
        owned |= _empty_namespaces(near, owned)
        return tuple(Owned(key, module, owned[key]) for key, module in modules if key in owned)


def _owner_among(files: Iterable[_File], file: str) -> str:
    """The distribution of a file: in its own folder, or in one of an earlier generation where it was the same."""
    used = used_sites()
    for one in files:
        if file.endswith(f"/{one.file}"):
            folder = file[: -len(one.file) - 1]
            if folder == one.folder or (folder in used and one.folder in used):
                return one.distribution
    return ""


def _placed(module: object, key: str) -> bool:
    """Whether a module has come into its place by import from a file of its own."""
    found = attributes(module)
    return found.get("__name__") == key and isinstance(found.get("__file__"), str)


def _empty_namespaces(modules: Mapping[str, object], owned: Mapping[str, str]) -> dict[str, str]:
    """Namespace packages that hold nothing but modules that are owned, with the owner of the first."""
    holds: dict[str, set[str]] = {}
    for key in modules:
        parent = key
        while parent := parent.rpartition(".")[0]:
            holds.setdefault(parent, set()).add(key)
    found: dict[str, str] = {}
    for parent in sorted(holds, key=len, reverse=True):
        module = modules.get(parent)
        below = holds[parent]
        if parent in owned or module is None or not _is_namespace(module):
            continue
        owners = [owned.get(key) or found.get(key) for key in sorted(below)]
        if owners and all(owners):
            found[parent] = owners[0] or ""
    return found


def _is_namespace(module: object) -> bool:
    found = attributes(module)
    return found.get("__file__") is None and "__path__" in found and attributes(found.get("__spec__")) != {}
