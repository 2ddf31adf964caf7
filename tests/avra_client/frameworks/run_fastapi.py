"""Sends orders to the FastAPI app in its own test client; the second of two with one id is rolled back."""

import sys

from fastapi.testclient import TestClient
from fastapi_shop import app

with TestClient(app) as client:
    print(*[client.post("/orders", json={"batch_id": name}).status_code for name in sys.argv[1:]])
