from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet_server.positions import code_points, code_units

UNITS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))


@pytest.mark.parametrize("encoding", UNITS)
@given(line=LINES, data=st.data())
def test_columns_count_what_the_encoding_counts(encoding, line, data):
    column = data.draw(st.integers(0, len(line)))
    codec, size = UNITS[encoding]
    units = code_units(line, column, encoding)
    assert units == len(line[:column].encode(codec)) // size
    assert code_points(line, units, encoding) == column


@pytest.mark.parametrize("encoding", UNITS)
def test_beyond_the_line_is_its_end(encoding):
    assert code_points("é😀", 99, encoding) == 2


def test_inside_a_character_is_before_it():
    assert code_points("a😀b", 2, "utf-16") == 1
    assert code_points("aéb", 2, "utf-8") == 1
