"""Tests of the delivery log, replays, cancellations, recoveries, retention and erasure."""
