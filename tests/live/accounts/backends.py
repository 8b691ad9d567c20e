"""An authentication backend that gives accounts out as employees."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from .models import Employee


class Employees(ModelBackend):
    def get_user(self, user_id: Any) -> Any:
        return Employee.objects.filter(pk=user_id, is_active=True).first()
