"""A context processor for Jinja2 templates, which are live as a whole."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .live.rendering import active_regions

__all__ = ["csrf"]


def csrf(request: HttpRequest) -> dict[str, str | SafeString]:
    """``csrf_token`` and ``csrf_input`` that stay the same as long as a live page is open, for Jinja2 templates.

    Add it to the ``context_processors`` of the Jinja2 backend. The token of that backend is another one on every
    rendering, so the page would be sent on every refresh. For views that are not live it changes nothing.
    """
    regions = active_regions()
    if regions is None:
        return {}
    token = regions.csrf_token
    return {
        "csrf_token": token,
        "csrf_input": format_html('<input type="hidden" name="csrfmiddlewaretoken" value="{}">', token),
    }
