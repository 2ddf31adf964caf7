"""Tests of the delivery engine: claim, sign, send, record."""
