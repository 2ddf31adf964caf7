"""Tests of the library for producers: client, outbox and relay, with the databases that apps use."""
