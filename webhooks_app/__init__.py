"""Avra webhooks: signed, real-time event notifications with a delivery log."""

__version__ = "0.1.0"
