"""Which small changes are made, and by what name."""

from mutants.operators import mutate


def described(source: str) -> list[str]:
    return [each.description for each in mutate(source)]


def test_sql_changes_within_a_text_that_is_put_together() -> None:
    source = 'def find(table):\n    return run(f"SELECT id FROM {table} WHERE a <= {{a}} AND b = {{b}}")\n'
    assert "SQL '<=' -> '<'" in described(source)
    assert "SQL 'AND b = {b}' -> ''" in described(source)
    [loose] = [each for each in mutate(source) if each.description == "SQL '<=' -> '<'"]
    assert 'f" WHERE a < {{a}} AND' in loose.source.replace("'", '"').replace("{table}", 'f"')


def test_a_text_that_is_put_together_for_people_is_left_alone() -> None:
    assert described('def tell(name):\n    print(f"hello {name}, and {len(name) + 1}")\n') == [
        "dropped print(f'hello {name}, and {len(name) + 1}')"
    ]


def test_options_that_are_switched_are_told_apart_by_their_names() -> None:
    found = described("def lock(row):\n    return row.lock(read=True, shared=False)\n")
    assert "read=True -> False" in found
    assert "shared=False -> True" in found
    assert "True -> False" not in found


def test_defaults_of_one_function_are_told_apart_by_their_names() -> None:
    source = "def lock(row, read=False, /, own=False, *, wait, shared=False):\n    return row\n"
    assert {each for each in described(source) if "False" in each} == {
        "read=False -> True",
        "own=False -> True",
        "shared=False -> True",
    }
