from webhooks_app.cli import main

main()
