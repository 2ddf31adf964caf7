"""Erasing payloads, of one event before its time or of all that are old enough: rows, and copies of them."""
