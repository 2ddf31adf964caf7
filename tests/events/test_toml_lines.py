"""Lines of a TOML file's tables and keys."""

from webhooks_app.events import toml_lines

TEXT = '''# [[event_types]]
built_in = false
[[groups]]
key = "[[event_types]]"
[[event_types]]  # first
name = 'a = 1'
schema = """
[[event_types]]
name = \\"""
"""
example = \'\'\'{
name = "x"}\'\'\'
  [[ event_types ]]
indexed = [
  "name = 1",
]
name = "b"
'''


def test_headers_and_keys_are_found_and_nothing_within_texts_and_comments() -> None:
    at_top, tables = toml_lines.find(TEXT)
    first, second = tables["event_types"]

    assert at_top.keys == {"built_in": 2}
    assert [each.header for each in tables["groups"]] == [3]
    assert (first.header, first.keys) == (5, {"name": 6, "schema": 7, "example": 11})
    assert (second.header, second.keys) == (13, {"indexed": 14, "name": 17})


def test_a_line_within_a_text_counts_from_where_the_text_begins() -> None:
    first = toml_lines.find(TEXT)[1]["event_types"][0]
    assert (first.in_value("schema", 2), first.in_value("example", 2)) == (9, 12)


def test_what_is_not_there_has_the_line_of_its_table() -> None:
    first = toml_lines.find(TEXT)[1]["event_types"][0]
    assert (first.of("title"), first.in_value("title", 1)) == (5, 5)
