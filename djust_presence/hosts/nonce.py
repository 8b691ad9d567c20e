"""The nonce of a page's Content-Security-Policy, for our script tags."""

from __future__ import annotations

import django
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

__all__ = ["nonce_attribute"]


def nonce_attribute(request: HttpRequest) -> SafeString | str:
    """Return ``nonce="…"`` with a space before it, or nothing where the page has no nonce."""
    nonce = _nonce(request)
    return "" if nonce is None else format_html(' nonce="{}"', nonce)


def _nonce(request: HttpRequest) -> str | None:
    """Return Django's own nonce (6.0 and later), or that of django-csp."""
    nonce = getattr(request, "csp_nonce", None)
    if nonce is None and django.VERSION >= (6, 0):
        from django.middleware.csp import get_nonce

        nonce = get_nonce(request)
    return None if nonce is None else str(nonce)
