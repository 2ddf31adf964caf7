"""HTTP requests over libcurl, and where they may go: the only importer of pycurl.

Imports `core` only.
"""
