from django.db import models


class Order(models.Model):
    batch_id = models.CharField(max_length=100, unique=True)
