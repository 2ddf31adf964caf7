"""Tests of the site of documents."""
