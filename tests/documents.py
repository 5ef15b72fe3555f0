"""The project's Markdown files as tests see them: sections, code blocks, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from environments import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"\A# (\S+\.(?:py|yaml))\n")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One code block: where it stands, its language, its text, and the file name in its first comment."""

    document: str
    section: str
    language: str
    text: str

    @property
    def file(self) -> str:
        found = FILE_NAME.match(self.text)
        return found.group(1) if found else ""

    @property
    def place(self) -> str:
        return f"{self.document}: {self.section}"


def documents() -> list[Path]:
    """README, CHANGELOG and everything under docs/."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(document: str) -> list[Block]:
    """The code blocks of a document (its path in the repository), in order."""
    text = (ROOT / document).read_text()
    found = []
    for match in FENCE.finditer(text):
        headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text[: match.start()]), re.MULTILINE)
        found.append(Block(document, headings[-1] if headings else "", match.group(1), match.group(2)))
    return found


def sections(document: str) -> dict[str, list[Block]]:
    """The code blocks of a document by the heading they stand under."""
    found: dict[str, list[Block]] = {}
    for block in blocks(document):
        found.setdefault(block.section, []).append(block)
    return found


def anchors(path: Path) -> set[str]:
    """Targets inside a document: explicit ones, and those of headings."""
    text = FENCE.sub("", path.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


def links(path: Path) -> list[str]:
    """Targets of the links in a document, without those in code."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text()))
    return LINK.findall(text)
