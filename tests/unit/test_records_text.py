"""The text that makes records, and the rules that protect them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocmng.errors import RecordError
from iocmng.ioc.access import access_groups, access_text, unaudited
from iocmng.ioc.dbtext import ascii_text, database_text, quoted, record_text
from iocmng.ioc.readable import readable, value_text
from iocmng.spec import RecordSpec
from iocmng.values import DType, PortType


def _spec(
    name: str = "T:A", port_type: PortType = PortType.FLOAT, kind: str = "ai", **more: Any
) -> RecordSpec:
    return RecordSpec(name=name, type=port_type, record_type=kind, **more)


def _fields(text: str) -> dict[str, str]:
    return dict(re.findall(r'field\((\w+), "(.*?)"\)', text))


def test_an_output_is_read_only_with_its_own_time_and_undefined() -> None:
    text = record_text(_spec(value=2.5, unit="mm", description="gap", fields=(("PREC", "3"),)))
    assert text.startswith('record(ai, "T:A") {')
    assert _fields(text) == {
        "ASG": "IOCMNG_RO",
        "TSE": "-2",
        "DESC": "gap",
        "EGU": "mm",
        "PREC": "3",
        "VAL": "2.5",
        "UDF": "1",
    }
    assert text.index("(VAL,") < text.index("(UDF,")


def test_a_writable_record_has_our_device_support_and_is_defined_when_it_has_a_value() -> None:
    text = record_text(
        _spec(
            kind="bo",
            port_type=PortType.BOOL,
            writable=True,
            value=True,
            labels=("Shut", "Open"),
            access="ops",
        )
    )
    assert _fields(text) == {
        "DTYP": "iocmng",
        "ASG": "ops",
        "ZNAM": "Shut",
        "ONAM": "Open",
        "VAL": "1",
        "UDF": "0",
        "STAT": "NO_ALARM",
    }
    assert "UDF" not in _fields(record_text(_spec(kind="ao", writable=True)))


def test_states_strings_and_arrays_have_their_shape() -> None:
    states = _spec(kind="mbbi", port_type=PortType.ENUM, labels=("a", "b", "c"))
    assert _fields(record_text(states)).items() >= {"ZRST": "a", "ONST": "b", "TWST": "c"}.items()
    assert _fields(record_text(_spec(kind="lsi", port_type=PortType.STRING, length=255)))["SIZV"] == "256"
    array = _spec(kind="waveform", port_type=PortType.ARRAY, length=7, dtype=DType.UINT16)
    assert _fields(record_text(array)).items() >= {"NELM": "7", "FTVL": "USHORT"}.items()


def test_a_declared_field_wins_over_the_derived_one() -> None:
    found = _fields(record_text(_spec(unit="mm", fields=(("EGU", "in"),))))
    assert found["EGU"] == "in"


def test_alike_records_share_everything_but_the_name() -> None:
    one, two = database_text([_spec("T:ONE", unit="V"), _spec("T:TWO", unit="V")]).split("record(")[1:]
    assert one.replace("ONE", "TWO") == two
    assert record_text(_spec("T:ONE", unit="A")).count('"A"') == 1


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (_spec(fields=(("ASG", "DEFAULT"),)), "ASG is set by the host"),
        (_spec(fields=(("SCAN", "1 second"),)), "SCAN is set by the host"),
        (_spec(fields=(("DESC", "$(MACRO)"),)), "takes for a macro"),
        (_spec(info=(("note", "${X}"),)), "takes for a macro"),
        (_spec(fields=(("DE SC", "x"),)), "no field name"),
        (_spec(info=(("a b", "x"),)), "no name of an info tag"),
        (_spec("T A"), "holds a character"),
        (_spec("T:" + "A" * 59), "61 characters, at most 60"),
        (_spec(kind="ai) {"), "no record type"),
        (_spec(kind="bi", port_type=PortType.BOOL, labels=("a", "b", "c")), "3 labels, a bi record holds 2"),
        (_spec(description="nul \0"), "NUL"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(spec: RecordSpec, complaint: str) -> None:
    with pytest.raises(RecordError, match=re.escape(complaint)) as caught:
        record_text(spec)
    assert spec.name in str(caught.value)


def test_a_native_calc_may_scan_and_have_links() -> None:
    fields = (("SCAN", "2 second"), ("INPA", "X NPP NMS"), ("CALC", "A"))
    assert _fields(record_text(_spec(kind="calc", fields=fields)))["SCAN"] == "2 second"


@given(st.text(max_size=50))
def test_texts_for_metadata_are_ascii(text: str) -> None:
    assert ascii_text(text).isascii()


@pytest.mark.parametrize(
    ("text", "shown"),
    [("°C", "degC"), ("µA", "uA"), ("kΩ", "kOhm"), ("Größe", "Grosse"), ("日", "?"), ("m²", "m2")],
)
def test_signs_of_units_are_spoken(text: str, shown: str) -> None:
    assert ascii_text(text) == shown


@given(st.text(alphabet=st.characters(exclude_characters="$\0", codec="utf-8"), max_size=40))
def test_a_quoted_text_ends_where_it_should(text: str) -> None:
    inside = quoted(text, "here")[1:-1]
    assert "\n" not in inside
    assert not re.search(r'(?<!\\)(\\\\)*"', inside)


def test_default_rules_let_values_be_written_and_nothing_else() -> None:
    text = access_text(None)
    assert access_groups(text) == {"DEFAULT", "IOCMNG_RO"}
    assert "RULE(0, WRITE, TRAPWRITE)" in text
    assert not unaudited(text)


def test_the_sites_rules_are_kept_and_ours_added(tmp_path: Path) -> None:
    path = tmp_path / "site.acf"
    path.write_text(
        'UAG(ops) {me}\nASG("beam line") {RULE(1,WRITE)}\n#ASG(no) {}\nASG(DEFAULT) {RULE(1,READ)}'
    )
    text = access_text(path)
    assert access_groups(text) == {"beam line", "DEFAULT", "IOCMNG_RO"}
    assert unaudited(text)


def test_rules_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.acf"
    with pytest.raises(RecordError, match="cannot be read"):
        access_text(path)
    path.write_text("ASG(IOCMNG_RO) { RULE(1, WRITE) }")
    with pytest.raises(RecordError, match="host's own group"):
        access_text(path)


def test_complaints_are_one_line_without_colours_and_places() -> None:
    raw = (
        "\x1b[31;1mERROR\x1b[0m: Can't set 'A.HIHI' to 'x'  : No digits\n"
        "\x1b[31;1mERROR\x1b[0m:  at or before ')' in file \"/tmp/f.db\" line 1\n\n 1 | record(ai)\n"
    )
    assert readable(raw) == "Can't set 'A.HIHI' to 'x' : No digits"


@pytest.mark.parametrize(
    ("spec", "value", "text"),
    [
        (_spec(), 0.1, "0.1"),
        (_spec(), None, "None"),
        (_spec(port_type=PortType.ENUM, kind="mbbi", labels=("a", "b")), 1, "b"),
        (_spec(port_type=PortType.ENUM, kind="mbbi", labels=("a", "b")), 7, "7"),
        (_spec(port_type=PortType.BOOL, kind="bi", labels=("Off", "On")), True, "On"),
        (_spec(port_type=PortType.ARRAY, kind="waveform"), list(range(9)), "[0, 1, 2, 3, 4, 5, 6, 7, …]"),
    ],
)
def test_values_are_shown_to_people(spec: RecordSpec, value: Any, text: str) -> None:
    assert value_text(spec, value) == text
