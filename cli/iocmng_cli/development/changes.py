"""Which files below a directory have changed since the last look."""

from __future__ import annotations

import os
from pathlib import Path

WATCHED = frozenset({".py", ".yaml", ".yml", ".json", ".toml", ".txt", ".cfg"})
LEFT_OUT = frozenset({"__pycache__", "node_modules", "venv", "build", "dist", "generations"})

Stamps = dict[str, tuple[int, int]]


class Watched:
    """The sources below a directory, by size and time of change."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = _stamps(root)

    def changed(self) -> list[str]:
        """Paths, relative to the directory, that came, went or changed since the last call."""
        now = _stamps(self._root)
        before, self._seen = self._seen, now
        return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))


def _stamps(root: Path) -> Stamps:
    found: Stamps = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in LEFT_OUT and not name.startswith(".")]
        for name in files:
            path = Path(folder, name)
            if path.suffix not in WATCHED:
                continue
            try:
                stat = path.stat()
            except OSError:
                continue  # gone between listing and looking: the next look sees it
            found[str(path.relative_to(root))] = (stat.st_mtime_ns, stat.st_size)
    return found
