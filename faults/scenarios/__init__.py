"""The scenarios. Importing this registers them in `faults.registry`."""

from faults.scenarios import accepting, admins, brokers, databases, operators, receivers, storms, workers

__all__ = ["accepting", "admins", "brokers", "databases", "operators", "receivers", "storms", "workers"]
