"""What documents say that the code knows: whole pages, and parts of pages between two comments.

`make reference` writes all of it; tests/docs_site/test_reference.py holds the pages to the code.
"""
