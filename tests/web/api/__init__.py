"""Tests of the producer API and the management API."""
