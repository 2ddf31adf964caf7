"""Tests of accounts: people, workspaces, tokens, sessions, sign-in, and the audit log."""
