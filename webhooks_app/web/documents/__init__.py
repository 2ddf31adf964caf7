"""The documents as pages of the console, and their search."""
