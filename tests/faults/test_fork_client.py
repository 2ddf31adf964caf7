"""Runs that start at once do not take each other's ports."""

from faults.fork_client import free_ports


def test_a_chosen_port_is_not_chosen_again_before_anybody_listens() -> None:
    chosen = free_ports(2)
    assert not set(chosen) & set(free_ports(2))
