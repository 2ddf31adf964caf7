"""A folder of tests for each package of `webhooks_app`, and for `faults/`, `mutants/` and the like.

What several of them use lies right here.
"""
