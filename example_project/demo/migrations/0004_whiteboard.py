"""A table for what is drawn on the whiteboards."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("demo", "0003_profiles")]
    operations = [
        migrations.CreateModel(
            name="Stroke",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("board", models.SlugField()),
                ("sender", models.CharField(max_length=255)),
                ("token", models.UUIDField()),
                ("color", models.CharField(max_length=7)),
                ("width", models.PositiveSmallIntegerField()),
                ("points", models.JSONField()),
            ],
            options={
                "indexes": [models.Index(fields=["board", "-id"], name="newest_of_a_board")],
                "constraints": [
                    models.UniqueConstraint(fields=("board", "sender", "token"), name="drawn_once")
                ],
            },
        ),
    ]
