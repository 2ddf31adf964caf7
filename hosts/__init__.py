"""The platform on many hosts: each a network namespace with an address of its own, whose cable can be cut.

`python -m hosts` (or `make hosts`) runs all of it, tests/hosts a short part. docs/many-hosts.md describes it.
"""
