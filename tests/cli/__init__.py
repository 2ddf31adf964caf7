"""Tests of the shell's commands and of the processes that they start, run as people run them."""
