"""Tests of the console's pages, over HTTP without a browser."""
