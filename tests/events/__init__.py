"""Tests of the catalog and of accepting events."""
