"""gunicorn as a program that takes modules from where Python finds them, and none from the current folder."""

from gunicorn.app.wsgiapp import WSGIApplication  # type: ignore[import-untyped]


class _Gunicorn(WSGIApplication):  # type: ignore[misc]  # gunicorn has no types
    def chdir(self) -> None:
        """Leave the path alone, to which gunicorn would add the current folder, ahead of all others."""


if __name__ == "__main__":
    _Gunicorn("%(prog)s [OPTIONS]", prog="avra web").run()
