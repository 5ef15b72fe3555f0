"""Plugin directories in one interpreter: modules beside a plugin are its own, whatever they are called."""

from __future__ import annotations

import builtins
import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from iocmng.plugins.location import SUFFIXES

PACKAGE = "iocmng_dir_"
DISTRIBUTION = "iocmng-dir-"


def distribution_name(plugin: str) -> str:
    """The distribution that a plugin directory becomes; different plugins never share one."""
    # What it is for needs importlib_metadata, which workers that only import a plugin do without.
    from iocmng.plugins.environment import canonical

    plain = canonical(plugin)
    if plain == plugin:
        return DISTRIBUTION + plain
    return f"{DISTRIBUTION}{plain}-{hashlib.sha256(plugin.encode()).hexdigest()[:6]}"


def package_name(plugin: str) -> str:
    """The import package that a plugin directory becomes."""
    return re.sub("[^a-z0-9]", "_", distribution_name(plugin))


class _PrivateLoader(SourceFileLoader):
    """Executes a module of a plugin directory with an `__import__` that looks beside the plugin first.

    Python takes `__import__` from the builtins of the running function's module: bare names stay private to
    the directory at any time, not only while the plugin is being imported.
    """

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code under the name of the author's file: tracebacks show what is to be edited."""
        code = super().get_code(fullname)
        # Cached code is under the name of the copy again.
        return code and _named(code, finder.author_file(fullname, self.path))

    # Python has an instance's method here, whatever the type stubs say of its base.
    def source_to_code(self, data: Any, path: Any, *rest: Any, **options: Any) -> CodeType:  # type: ignore[override]
        """Compile under the name of the author's file, which a SyntaxError then tells."""
        code: CodeType = super().source_to_code(
            data, finder.author_file(self.name, self.path), *rest, **options
        )
        return code

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        private = _Import(package, finder.roots[package])
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": private}
        super().exec_module(module)


def _named(code: CodeType, file: str) -> CodeType:
    """The same code, with all that is nested in it, as of another file."""
    constants = tuple(_named(one, file) if isinstance(one, CodeType) else one for one in code.co_consts)
    return code.replace(co_filename=file, co_consts=constants)


class _Import:
    """`__import__` of one plugin directory."""

    def __init__(self, package: str, root: str) -> None:
        self._package = package
        self._folder = Path(root) / package
        self._own: dict[str, bool] = {}

    def __call__(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        first = name.partition(".")[0]
        if level or not self._is_own(first):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        private = f"{self._package}.{name}"
        module = builtins.__import__(private, globals, locals, fromlist or ("",))
        return module if fromlist else sys.modules[f"{self._package}.{first}"]

    def _is_own(self, name: str) -> bool:
        if name not in self._own:
            folder = self._folder / name
            self._own[name] = any(
                (self._folder / f"{name}{suffix}").is_file() or (folder / f"__init__{suffix}").is_file()
                for suffix in SUFFIXES
            ) or (any(folder.glob("*.py")) and find_spec(name) is None)
        return self._own[name]


class DirectoryFinder:
    """Finds the packages of plugin directories.

    Attributes:
        roots: The folder in which each package lies.
        folders: The author's directory that each package is a copy of, as far as known.
    """

    def __init__(self) -> None:
        self.roots: dict[str, str] = {}
        self.folders: dict[str, str] = {}

    def serve(self, package: str, root: str) -> None:
        """Find `package` in the folder `root` from now on."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        self.roots[package] = root

    def author_file(self, module: str, file: str) -> str:
        """The author's file of a module whose copy is `file`; `file` itself where that is not known."""
        package = module.partition(".")[0]
        copy, folder = Path(self.roots.get(package, ""), package), self.folders.get(package)
        if folder is None or not Path(file).is_relative_to(copy):
            return file
        return str(Path(folder, Path(file).relative_to(copy)))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Part of the import protocol."""
        package = fullname.partition(".")[0]
        if package not in self.roots:
            return None
        spec = PathFinder.find_spec(fullname, [self.roots[package]] if path is None else path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _PrivateLoader(fullname, spec.loader.path)
        return spec


finder = DirectoryFinder()
