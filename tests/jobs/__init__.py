"""Tests of RQ jobs, wake-ups, the scheduler and the processes made of them, with a real Redis."""
