"""Providers to sign in with: a real one, and one that lies."""
