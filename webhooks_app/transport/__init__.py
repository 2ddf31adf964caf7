"""Send HTTP requests over libcurl, and decide where they may go: the only importer of pycurl.

Imports `core`. Imported by `cli`, `config`, `tasks`, `web` and `worker`.
"""
