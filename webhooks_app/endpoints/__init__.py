"""Endpoints: every action on one, its secrets, headers, health, charts and notices.

Imports `accounts` and what is below it.
"""
