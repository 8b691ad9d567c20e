"""Messages keep how a guest looked, and a profile may have no picture."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("demo", "0004_whiteboard")]
    operations = [
        migrations.AddField("message", "guest_name", models.CharField(max_length=150, blank=True)),
        migrations.AddField("message", "guest_color", models.CharField(max_length=7, blank=True)),
        migrations.AlterField("profile", "avatar", models.SlugField(blank=True)),
    ]
