from webhooks_app.cli.commands import main

main()
