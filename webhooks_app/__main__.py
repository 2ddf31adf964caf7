"""`python -m webhooks_app`, and the command `avra`."""

from webhooks_app.core import interrupts


def main() -> None:
    """Run the command that the arguments name."""
    interrupts.use_default_sigint()
    from webhooks_app.cli import main as cli

    cli.main(prog_name="avra")


if __name__ == "__main__":
    main()
