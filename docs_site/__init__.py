"""The site of the documents: pages of `docs/` that are made of the code, and the HTML made of them all.

`python -m docs_site` builds the site and needs nothing of the platform: it runs with the tools of
`tools.txt` in an environment of its own (`make docs`).
"""
