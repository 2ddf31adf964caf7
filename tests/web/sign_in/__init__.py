"""Pages by which people sign in, and providers to do it with: a real one, and one that lies."""
