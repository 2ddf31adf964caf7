"""Which small changes are made, and by what name."""

import pytest

from mutants.groups import ROOT
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


def test_a_plain_condition_is_negated() -> None:
    source = "def run(queue):\n    while queue.rows:\n        if more():\n            queue = queue.next\n"
    assert described(source) == ["not queue.rows", "not more()"]


def test_a_condition_of_a_comprehension_is_negated() -> None:
    assert "not each.is_test in a comprehension" in described(
        "rows = [each for each in many if each.is_test]\n"
    )


def test_each_operand_is_lost() -> None:
    changed = {each.description: each.source for each in mutate("free = a or b or c\n")}
    assert changed["a lost in a or b or c"] == "free = b or c"
    assert changed["c lost in a or b or c"] == "free = a or b"
    assert {each.source for each in mutate("free = a and b\n")} == {"free = a", "free = b", "free = a or b"}


def test_each_condition_of_a_query_is_lost() -> None:
    found = {each.source for each in mutate("rows = select(a).where(b, c)\nown = filter(b, c)\n")}
    assert found == {
        "rows = select(a).where(c)\nown = filter(b, c)",
        "rows = select(a).where(b)\nown = filter(b, c)",
    }


def test_each_element_of_what_is_handed_over_or_returned_is_lost() -> None:
    source = "def run(a, b):\n    call([a, b], key=(a, b))\n    c = [a, b]\n    return (a, b)\n"
    found = [each.source for each in mutate(source)]
    for text in ("call([b], key=(a, b))", "call([a, b], key=(b,))", "return (a,)"):
        assert any(text in each for each in found), text
    assert all("c = [a, b]" in each for each in found)


def test_what_is_raised_is_not_raised() -> None:
    assert described("def refuse():\n    raise ValueError('1' + f'{2}')\n") == [
        "dropped raise ValueError('1' + f'{2}')"
    ]


@pytest.mark.parametrize(
    ("module", "key"),
    [
        ("core/signing", "key_of: validate=True -> False"),
        ("worker/delivery_updates", "module: SQL ', lapses = 0' -> ''"),
        ("worker/delivery_updates", "module: SQL \"AND deliveries.state <> 'delivered'\" -> ''"),
        ("events/request_hash", "of_event: event_type lost in [event_type, data]"),
        ("worker/outcome_buffer", "OutcomeBuffer._is_due: self._deliveries[-1].is_suspect lost in "),
    ],
)
def test_the_changes_that_no_test_noticed_once_are_made(module: str, key: str) -> None:
    mutants = mutate((ROOT / f"webhooks_app/{module}.py").read_text())
    assert [each.key for each in mutants if each.key.startswith(key)]
