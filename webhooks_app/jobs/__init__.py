"""RQ, rq-scheduler, Redis, and the processes made of them: their only importer.

Knows nothing of what a job does.

Imports `config`, `core`, `db` and `monitoring`. Imported by `app`, `cli`, `deliveries`, `events`,
`extensions`, `server`, `services`, `tasks`, `web` and `worker`.
"""
