"""Tests of the erasure of one event's data."""
