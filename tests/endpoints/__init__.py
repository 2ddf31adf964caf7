"""Tests of actions on endpoints, their secrets, custom headers, health, statistics and notices."""
