"""The documents that the platform serves."""
