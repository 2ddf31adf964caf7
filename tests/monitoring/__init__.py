"""Tests of what operators see: reports, counters, metrics, traces."""
