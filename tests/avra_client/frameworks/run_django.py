"""Sends orders to the Django project in its own test client; the second of two with one id is rolled back."""

import sys

import django
from django.core.management import call_command
from django.test import Client

django.setup()
call_command("migrate", verbosity=0)
statuses = [
    Client().post("/orders", {"batch_id": name}, content_type="application/json").status_code
    for name in sys.argv[1:]
]
print(*statuses)
