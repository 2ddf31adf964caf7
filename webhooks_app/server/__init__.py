"""The web's HTTP server: connections with deadlines, request bodies of limited size, threads for Flask.

The only importer of uvicorn.

Imports `core`, `db`, `events`, `extensions`, `jobs`, `listeners`, `monitoring` and `web`. Imported by `cli`.
"""
