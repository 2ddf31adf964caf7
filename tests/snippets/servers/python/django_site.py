"""A site with the middleware that `startproject` gives it, for the view of the snippet."""

import sys

import python_django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.urls import path

MIDDLEWARE = (
    *("security.SecurityMiddleware", "common.CommonMiddleware", "csrf.CsrfViewMiddleware"),
    "clickjacking.XFrameOptionsMiddleware",
)

urlpatterns = [path("webhooks", python_django.receive)]

if __name__ == "__main__":
    settings.configure(
        ROOT_URLCONF="django_site",
        SECRET_KEY="nothing here is secret",
        ALLOWED_HOSTS=["127.0.0.1"],
        MIDDLEWARE=[f"django.middleware.{name}" for name in MIDDLEWARE],
    )
    execute_from_command_line(["manage.py", "runserver", "--noreload", sys.argv[1]])
