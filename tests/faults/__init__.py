"""Tests of the fault suite: a short part of it, and that its checks find what they are for."""
