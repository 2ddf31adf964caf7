"""Tests of the delivery log: its filters, rows, search, explanations and exports."""
