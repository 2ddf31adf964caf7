"""Who the admin of the demo is; apart from the demo, for a supervisor that loads nothing of it."""

EMAIL = "admin@example.com"
