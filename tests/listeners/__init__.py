"""Tests of listeners, whose deliveries a program fetches."""
