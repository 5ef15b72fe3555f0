"""Gather findings about one document, each with its place."""

from __future__ import annotations

from iocmng.config.document import Document, Path
from iocmng.wire import Finding, Level


class Report:
    """Collects findings; `broken` holds the key paths that have an error, so that nothing is said twice."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.findings: list[Finding] = list(document.findings)
        self.broken: set[Path] = set()

    def add(
        self, level: Level, code: str, message: str, path: Path, hint: str = "", *, key: bool = False
    ) -> None:
        """Note a finding at `path` (`key`: about the key, not its value)."""
        if level is Level.ERROR:
            self.broken.add(path)
        self.findings.append(Finding(level, code, message, self.document.where(*path, key=key), hint))

    def error(
        self, code: str, message: str, *path: str | int | float, hint: str = "", key: bool = False
    ) -> None:
        """Note an error at `path`."""
        self.add(Level.ERROR, code, message, path, hint, key=key)

    def warning(
        self, code: str, message: str, *path: str | int | float, hint: str = "", key: bool = False
    ) -> None:
        """Note a warning at `path`."""
        self.add(Level.WARNING, code, message, path, hint, key=key)

    def is_broken(self, *path: str | int | float) -> bool:
        """Whether an error stands at `path` or below it."""
        return any(known[: len(path)] == path for known in self.broken)

    @property
    def ok(self) -> bool:
        """Whether no error was found."""
        return not any(finding.level is Level.ERROR for finding in self.findings)
