"""The web's HTTP server: connections with deadlines, request bodies of limited size, threads for Flask.

The only importer of uvicorn. It may import everything below it; only `cli` starts it.
"""
