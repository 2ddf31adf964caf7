"""Takes orders: an order and its event are written together, or neither is."""

import json

from django.db import IntegrityError, connection, transaction
from django.http import HttpRequest, JsonResponse

from avra_client import outbox
from orders.models import Order


def create_order(request: HttpRequest) -> JsonResponse:
    batch_id = json.loads(request.body)["batch_id"]
    try:
        with transaction.atomic():
            outbox.send(connection, "batch-lifecycle", {"batch_id": batch_id, "status": "queued"})
            order = Order.objects.create(batch_id=batch_id)
    except IntegrityError:
        return JsonResponse({"error": "There is such an order."}, status=409)
    return JsonResponse({"id": order.id}, status=201)
