"""Permissions and tests of Django's view mixins, asked again while a page is open."""

from __future__ import annotations

from typing import Any

from django.apps import apps

__all__ = ["has_tests", "passes_tests"]


def has_tests(view: Any) -> bool:
    """Return whether *view* is one of Django's that ask for more than a log-in."""
    if not apps.is_installed("django.contrib.auth"):
        return False
    from django.contrib.auth.mixins import PermissionRequiredMixin, UserPassesTestMixin

    return isinstance(view, PermissionRequiredMixin | UserPassesTestMixin)


def passes_tests(view: Any) -> bool:
    """Return whether *view* would let its request's user in."""
    if not has_tests(view):
        return True
    from django.contrib.auth.mixins import PermissionRequiredMixin, UserPassesTestMixin

    if isinstance(view, PermissionRequiredMixin) and not view.has_permission():
        return False
    return not isinstance(view, UserPassesTestMixin) or bool(view.get_test_func()())
