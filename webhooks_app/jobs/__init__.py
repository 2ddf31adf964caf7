"""RQ, rq-scheduler, Redis, and the processes made of them: their only importer.

Knows nothing of what a job does. Imports `config`, `db` and `core`.
"""
