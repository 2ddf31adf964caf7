"""The outbox's table, as the database's kind needs it."""

from django.db import migrations

from avra_client import outbox_schema


def create(apps, schema_editor):
    for statement in outbox_schema.ddl(schema_editor.connection.vendor):
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_order")]
    operations = [
        migrations.RunPython(create, migrations.RunPython.noop),
    ]
