"""Tests of what several packages share."""
