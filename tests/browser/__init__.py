"""Tests in a real browser: every page in its widths and themes, and the ways through them."""
