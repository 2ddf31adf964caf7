"""`python -m docs_site.reference`: writes what is made of the code into `docs/`."""

from docs_site.reference import written

if __name__ == "__main__":
    for path, text in written.all_pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
