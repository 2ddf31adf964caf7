"""People and what they may do: users, log-ins, sessions, passkeys, second factors, single sign-on.

Also workspaces, members and invitations, API tokens and their scopes, the audit log, and e-mails about
changes of an account.

Imports `core` and `db`. Imported by `cli`, `deliveries`, `endpoints`, `events`, `extensions`, `listeners`,
`tasks`, `web` and `worker`.
"""
