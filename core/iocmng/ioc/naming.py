"""Names of records while clients are served: further ones, and names that nobody finds for a while.

`dbCreateAlias` works in a running IOC, `dbDeleteRecord` does not. So a name is taken away by pointing its node at a
text that no search can match: a record's name ends at the first dot of what is asked for.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from iocmng.errors import RecordError
from iocmng.ioc import clib
from iocmng.ioc.layout import memory_of, offset_of

_HIDDEN = ctypes.create_string_buffer(b".hidden")
_NO_TAG = ctypes.create_string_buffer(b"")
_texts: dict[str, ctypes.Array[ctypes.c_char]] = {}
_put_away: dict[tuple[int, str], tuple[clib.TagNode, int]] = {}


class Name:
    """One name of a record, as EPICS keeps it; hidden or to be found."""

    __slots__ = ("_node", "_text", "record")

    def __init__(self, node: int) -> None:
        self._node = clib.NameNode.from_address(node)
        self._text = int(self._node.name)
        self.record = int(self._node.record)

    @classmethod
    def find(cls, name: str) -> Name:
        """The name of a record that can be found now.

        Raises:
            RecordError: EPICS has no such record.
        """
        with _entry() as entry:
            if clib.find_record(ctypes.byref(entry), name.encode()):
                raise RecordError(f"EPICS has no record {name}")
            return cls(entry.node)

    @property
    def text(self) -> str:
        """The name itself."""
        return ctypes.string_at(self._text).decode()

    @property
    def hidden(self) -> bool:
        """Whether a search fails."""
        return bool(self._node.name == ctypes.addressof(_HIDDEN))

    def hide(self) -> None:
        """Let no search find the record by this name; who is connected stays so."""
        self._node.name = ctypes.addressof(_HIDDEN)

    def show(self) -> None:
        """Let searches find it again."""
        self._node.name = self._text

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Let it be found for the moment in which this process asks EPICS about the record by its name."""
        was_hidden = self.hidden
        self.show()
        try:
            yield
        finally:
            if was_hidden:
                self.hide()


def is_known(name: str) -> bool:
    """Whether a search for `name` would find a record."""
    with _entry() as entry:
        return not clib.find_record(ctypes.byref(entry), name.encode())


def add_name(record: int, name: str) -> Name:
    """Give a record a further name, by which clients find it from now on.

    Raises:
        RecordError: EPICS refuses, because another record has that name.
    """
    with _entry_of(record) as entry:
        if clib.create_alias(ctypes.byref(entry), name.encode()):
            raise RecordError(f"EPICS cannot serve a record under the name {name}",
                              hint="another record has it")  # fmt: skip
    return Name.find(name)


def rename(record: int, name: str) -> None:
    """Make `name` what the record's field NAME says; nothing may find the record by the name that stood there."""
    at, size = offset_of("ai", "NAME")
    coded = name.encode()
    if len(coded) >= size:
        raise RecordError(f"{name}: {len(coded)} bytes, a record's name holds {size - 1}")
    memory_of(record + at, size)[:] = coded.ljust(size, b"\0")


def set_tags(record: int, tags: Iterable[tuple[str, str]], before: Iterable[str] = ()) -> None:
    """Give a record its info tags, and take those of `before` that are not among them.

    What servers may be reading is not freed: a text is replaced by pointing elsewhere, and stays.
    """
    wanted = dict(tags)
    with _entry_of(record) as entry:
        for tag, text in wanted.items():
            if kept := _put_away.pop((record, tag), None):
                _point_at(kept[0], text)
                kept[0].name = kept[1]
            elif clib.find_tag(ctypes.byref(entry), tag.encode()):
                clib.put_tag(ctypes.byref(entry), tag.encode(), text.encode())
            else:
                _point_at(clib.TagNode.from_address(entry.tag), text)
        for tag in before:
            if tag not in wanted and not clib.find_tag(ctypes.byref(entry), tag.encode()):
                node = clib.TagNode.from_address(entry.tag)
                _put_away[record, tag] = node, int(node.name)
                node.name = ctypes.addressof(_NO_TAG)


def _point_at(tag: clib.TagNode, text: str) -> None:
    if ctypes.string_at(tag.text) != text.encode():
        kept = _texts.setdefault(text, ctypes.create_string_buffer(text.encode()))
        tag.text = ctypes.addressof(kept)


def layout_problem(name: str, alias: str) -> str:
    """Try on the record `name` what hiding, naming and tags rely on; return what is otherwise, or ""."""
    try:
        return _layout_problem(name, alias)
    except (RecordError, ValueError) as error:
        return str(error)


def _layout_problem(name: str, alias: str) -> str:
    record = int(clib.address_of(name).record or 0)
    with _entry() as entry, _entry_of(record) as same:
        clib.find_record(ctypes.byref(entry), name.encode())
        node = int(entry.node or 0)
        if not node or node != same.node:
            return "an entry names its record otherwise"
    found = clib.NameNode.from_address(node)
    if found.record != record:
        return "a name names its record otherwise"
    at, size = offset_of("ai", "NAME")
    if bytes(memory_of(record + at, size)).split(b"\0")[0] != name.encode() or found.name != record + at:
        return "a record keeps its name otherwise"
    more = add_name(record, alias)
    for each, text in ((Name(node), name), (more, alias)):
        each.hide()
        if is_known(text):
            return "a hidden name is found"
        each.show()
        if not is_known(text) or each.record != record:
            return "a name that was hidden is not found again"
    more.hide()
    set_tags(record, [("iocmng", "one")])
    with _entry_of(record) as entry:
        clib.find_tag(ctypes.byref(entry), b"iocmng")
        tag = clib.TagNode.from_address(entry.tag)
        if ctypes.string_at(tag.name) != b"iocmng" or ctypes.string_at(tag.text) != b"one":
            return "an info tag lies otherwise"
    set_tags(record, [], ["iocmng"])
    return ""


@contextmanager
def _entry() -> Iterator[clib.Entry]:
    entry = clib.Entry()
    clib.init_entry(clib.DATABASE, ctypes.byref(entry))
    try:
        yield entry
    finally:
        clib.finish_entry(ctypes.byref(entry))


@contextmanager
def _entry_of(record: int) -> Iterator[clib.Entry]:
    entry = clib.Entry()
    clib.init_entry_from_record(record, ctypes.byref(entry))
    try:
        yield entry
    finally:
        clib.finish_entry(ctypes.byref(entry))
