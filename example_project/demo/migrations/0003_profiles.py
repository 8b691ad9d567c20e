"""Each of the demo's people has a picture of their own."""

from __future__ import annotations

from typing import Any

from django.db import migrations

AVATARS = ["ada", "grace", "alan", "katherine"]


def create(apps: Any, schema_editor: Any) -> None:
    users = apps.get_model("auth", "User").objects
    profiles = apps.get_model("demo", "Profile").objects
    for user in users.filter(username__in=AVATARS):
        profiles.get_or_create(user=user, defaults={"avatar": user.username})


class Migration(migrations.Migration):
    dependencies = [("demo", "0002_chat")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
