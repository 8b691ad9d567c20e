"""The tags of the page's scripts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..conf import get_settings
from ..hosts.nonce import nonce_attribute

__all__ = ["advice_script", "djust_script", "inject_script"]


def inject_script(response: HttpResponse, request: HttpRequest, advice: str = "") -> None:
    """Insert our scripts before the last ``</body>`` of an HTML *response*, else at its end.

    They print *advice* in the browser's console.
    """
    if not response.headers.get("Content-Type", "").startswith("text/html"):
        return
    content = response.content
    end = content.lower().rfind(b"</body>")
    if end < 0:
        end = len(content)
    response.content = content[:end] + _script(request, advice).encode(response.charset) + content[end:]


def _script(request: HttpRequest, advice: str) -> str:
    # Not deferred: it copies the page before deferred scripts change it.
    patcher = _tag(request, "patch")
    base = _tag(
        request,
        "base",
        defer=True,
        data_cursors=static("djust_presence/cursors.js"),
        data_socket_prefix=get_settings().socket_prefix,
        data_advice=advice or None,
    )
    return patcher + base + _tag(request, "forms", defer=True) + _tag(request, "presence", defer=True)


def djust_script(request: HttpRequest | None) -> SafeString:
    """Return the scripts for pages of real djust's views."""
    base = _tag(request, "base", defer=True, data_cursors=static("djust_presence/cursors.js"))
    return base + _tag(request, "djust", defer=True)


def advice_script(request: HttpRequest, advice: str) -> SafeString:
    """Return a script for a page that is not live, which prints *advice* in the browser's console."""
    return _tag(request, "base", defer=True, data_advice=advice)


def _tag(request: HttpRequest | None, name: str, *, defer: bool = False, **data: str | None) -> SafeString:
    attributes = {key.replace("_", "-"): value for key, value in data.items()}
    given = [(key, value) for key, value in attributes.items() if value is not None]
    return format_html(
        '<script src="{}"{}{}{}></script>',
        static(f"djust_presence/{name}.js"),
        " defer" if defer else "",
        format_html_join("", ' {}="{}"', given),
        nonce_attribute(request) if request else "",
    )
