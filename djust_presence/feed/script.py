"""The tag of the script that keeps the elements of any page current."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..conf import get_settings
from ..hosts.nonce import nonce_attribute
from .page import feed_url, page_of

__all__ = ["client_script"]


def client_script(request: HttpRequest, times: Mapping[str, float] | None = None) -> SafeString:
    """Return the script tag, with other *times* than the script's own (seconds).

    Raises ``ImproperlyConfigured`` if the project has no URL for the script to ask.
    """
    page_of(request).scripted()
    feed, chosen = feed_url(), get_settings()
    prefix = chosen.socket_prefix.rstrip("/")
    # Under WSGI no socket is tried, unless sockets are served beside it.
    sockets = prefix or isinstance(request, ASGIRequest)
    return format_html(
        '<script type="module" src="{}" data-feed="{}"{} data-ticket="{}" data-anonymous="{}" data-guest="{}"{}{}{}>'
        "</script>",
        static("djust_presence/client.js"),
        feed,
        format_html(' data-socket="{}"', prefix + feed) if sockets else "",
        reverse("djust_presence:ticket"),
        chosen.anonymous,
        gettext("Guest"),
        format_html(' data-times="{}"', json.dumps(dict(times))) if times else "",
        " data-debug" if settings.DEBUG else "",
        nonce_attribute(request),
    )
