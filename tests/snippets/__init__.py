"""Tests of the verification snippets that the console shows, each in its own language."""
