"""Avra webhooks: signed, real-time event notifications with a delivery log."""
