"""What HTTP sees: the API, and the console's pages and forms.

A view loads, validates, calls one action, responds. `blueprints` lists the modules of all pages and APIs,
`template_filters` what templates can call.

Imports `accounts`, `config`, `core`, `db`, `deliveries`, `endpoints`, `events`, `extensions`, `jobs`,
`listeners`, `monitoring`, `services` and `transport`. Imported by `app`, `cli` and `server`.
"""
