import base64
import sys

from snippet import verify


def text(field: str) -> str:
    return base64.b64decode(field).decode("latin-1")


for line in sys.stdin:
    secret, *values, body = line.rstrip("\n").split(":")
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = {name: text(value) for name, value in zip(names, values, strict=True) if value != "-"}
    try:
        verify(text(secret), headers, base64.b64decode(body))
        print("accepted")
    except ValueError:
        print("refused ValueError")
    except Exception as error:
        print("refused", type(error).__name__)
