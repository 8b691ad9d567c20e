"""The people whom a visitor of the demo can be. None has a password, so that is the only way to be one."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import migrations

PEOPLE = [("ada", False), ("grace", False), ("alan", False), ("katherine", True)]


def create(apps: Any, schema_editor: Any) -> None:
    users = apps.get_model("auth", "User").objects
    for username, is_staff in PEOPLE:
        users.get_or_create(
            username=username, defaults={"is_staff": is_staff, "password": make_password(None)}
        )


class Migration(migrations.Migration):
    dependencies = [("auth", "0012_alter_user_first_name_max_length")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
