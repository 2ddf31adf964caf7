from webhooks_app.cli.main import main

main(prog_name="avra")
