"""The JSON API of internal apps."""
