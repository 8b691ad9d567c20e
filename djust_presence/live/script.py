"""The tags of the page's scripts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..conf import get_settings
from ..hosts.nonce import nonce_attribute

__all__ = ["advice_script", "inject_script"]


def inject_script(response: HttpResponse, request: HttpRequest, advice: str = "") -> None:
    """Put our scripts in before the last ``</body>`` of an HTML *response*, else at its end.

    They say *advice* in the browser's console.
    """
    if not response.headers.get("Content-Type", "").startswith("text/html"):
        return
    content = response.content
    end = content.lower().rfind(b"</body>")
    if end < 0:
        end = len(content)
    response.content = content[:end] + _script(request, advice).encode(response.charset) + content[end:]


def _script(request: HttpRequest, advice: str) -> str:
    # The first is not deferred: it copies the page before deferred scripts change it.
    nonce = nonce_attribute(request)
    return format_html(
        '<script src="{}"{}></script>'
        '<script src="{}" defer data-cursors="{}" data-socket-prefix="{}"{}{}></script>',
        static("djust_presence/patch.js"),
        nonce,
        static("djust_presence/presence.js"),
        static("djust_presence/cursors.js"),
        get_settings().socket_prefix,
        format_html(' data-advice="{}"', advice) if advice else "",
        nonce,
    )


def advice_script(request: HttpRequest, advice: str) -> SafeString:
    """Return a script for a page that is not live, which says *advice* in the browser's console."""
    return format_html(
        '<script src="{}" defer data-advice="{}"{}></script>',
        static("djust_presence/presence.js"),
        advice,
        nonce_attribute(request),
    )
