"""Tests of the tool that makes small changes to the code."""
