"""User models of many kinds. A site has one of them as AUTH_USER_MODEL."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class Person(AbstractBaseUser):
    first_name = models.CharField(max_length=50, default="")
    bio = models.TextField(default="a long one")
    is_active = models.BooleanField(default=True)

    objects: ClassVar[BaseUserManager[Any]] = BaseUserManager()

    class Meta:
        abstract = True

    @cached_property
    def greeting(self) -> str:
        return f"Hello {self.first_name}"


class ByUUID(Person):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    username = models.CharField(max_length=50, unique=True)

    USERNAME_FIELD = "username"

    class Meta:
        app_label = "accounts"


class Phone:
    """A phone number that is not a str, as in the fields of packages."""

    def __init__(self, digits: str) -> None:
        self.digits = digits

    def __str__(self) -> str:
        return f"+{self.digits}"


class PhoneField(models.CharField):  # type: ignore[type-arg]
    def from_db_value(self, value: Any, *args: Any) -> Any:
        return Phone(value)

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, Phone) else Phone(value)

    def get_prep_value(self, value: Any) -> Any:
        return getattr(value, "digits", value)


class ByPhone(Person):
    username = PhoneField(max_length=20, unique=True)

    USERNAME_FIELD = "username"

    class Meta:
        app_label = "accounts"


class Badge(models.Model):
    class Meta:
        app_label = "accounts"

    def __str__(self) -> str:
        return f"badge {self.pk}"


class ByRelation(Person):
    username = models.OneToOneField(Badge, models.CASCADE, primary_key=True)

    USERNAME_FIELD = "username"

    class Meta:
        app_label = "accounts"


class ByNumber(Person):
    username = models.IntegerField(unique=True)

    USERNAME_FIELD = "username"

    class Meta:
        app_label = "accounts"


class Account(Person):
    username = models.CharField(max_length=50, unique=True)

    USERNAME_FIELD = "username"

    class Meta:
        app_label = "accounts"


class Employee(Account):
    office = models.CharField(max_length=50, default="")

    class Meta:
        app_label = "accounts"


class Member(Account):
    class Meta:
        app_label = "accounts"
        proxy = True
