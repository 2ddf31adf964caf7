"""Tests of requests over libcurl and of where they may go, with hostile servers."""
