"""The scenarios. Importing this registers them in `faults.registry`."""

__all__ = ["accepting", "admins", "brokers", "databases", "operators", "receivers", "storms", "workers"]
