"""The part of Thrift's compact protocol that Parquet uses."""

from __future__ import annotations

import pytest

from gallery.transfer.parquet.thrift_compact import INTEGER_32, INTEGER_64, LIST, STRUCT, TEXT, CompactReader


def test_a_struct_is_read_by_field_number() -> None:
    # 1: -1, 3: true, 4: a text, 5: [1, 2], 17: a struct with 2: 300; then other data.
    data = b"\x15\x01" + b"\x21" + b"\x18\x02ab" + b"\x19\x25\x02\x04" + b"\xcc\x26\xd8\x04\x00" + b"\x00" + b"more"
    reader = CompactReader(b"before" + data, len(b"before"))
    assert reader.struct() == {
        (1, INTEGER_32): -1,
        (3, 1): True,
        (4, TEXT): None,
        (5, LIST): [1, 2],
        (17, STRUCT): {(2, INTEGER_64): 300},
    }
    assert data[reader.position - len(b"before") :] == b"more"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x15", id="cut off in a number"),
        pytest.param(b"\x18\x05ab\x00", id="cut off in a text"),
        pytest.param(b"\x19\xf5\xff\xff\xff\xff\x0f\x00", id="cut off in a list"),
        pytest.param(b"\x15\x02\x05\x02\x04\x00", id="a field twice"),
        pytest.param(b"\x05\x00\x02\x00", id="field 0"),
        pytest.param(b"\x05\x84\x80\x08\x02\x00", id="field 65538, which is 2 in 16 bits"),
        pytest.param(b"\x10\x00", id="a field without a type"),
        pytest.param(b"\x1b\x00\x00", id="a map"),
        pytest.param(b"\x15" + b"\xff" * 11 + b"\x00\x00", id="a number of too many bits"),
        pytest.param(b"\x16" + b"\xff" * 9 + b"\x02\x00", id="a number of 65 bits"),
        pytest.param(b"\x1c" * 10_000 + b"\x00" * 10_001, id="too deep"),
        pytest.param(b"\x19" + b"\x19" * 10_000 + b"\x00" * 10_001, id="lists too deep"),
    ],
)
def test_invalid_data_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        CompactReader(data).struct()


def test_a_list_with_unexpected_items_is_refused() -> None:
    data = b"\x19\x25\x02\x04\x00"
    assert CompactReader(data, lists={(1,): INTEGER_32}).struct() == {(1, LIST): [1, 2]}
    with pytest.raises((ValueError, IndexError)):
        CompactReader(data, lists={(1,): STRUCT}).struct()
