"""What a page shows: its live regions, what of them differs, and the script that takes it in."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import django
from django.http import HttpRequest, HttpResponse
from django.template import TemplateSyntaxError
from django.template.response import SimpleTemplateResponse
from django.templatetags.static import static
from django.utils.html import format_html

from ..conf import get_settings

if TYPE_CHECKING:
    from .view import LiveView

__all__ = [
    "WHOLE",
    "Page",
    "Regions",
    "Shown",
    "active_regions",
    "inject_script",
    "render",
]

# The id of a page without regions of its own, which is live as a whole.
WHOLE = "*"


class Regions:
    """Collects the live regions of one rendering; *context* and *request* are the view's."""

    def __init__(self, context: dict[str, Any], request: HttpRequest) -> None:
        self.context = context
        self.request = request
        self.html: dict[str, str] = {}
        self.places: list[str] = []
        self._inside = False

    def add(self, place: str, render: Callable[[], str]) -> str:
        """Render the next region, which stands at *place* (template and line), and return its markup."""
        if self._inside:
            raise TemplateSyntaxError(
                f"{{% live %}} inside another {{% live %}}, at {place}: regions do not nest."
            )
        self._inside = True
        try:
            html = render()
        finally:
            self._inside = False
        name = f"live-{len(self.html) + 1}"
        self.html[name] = html
        self.places.append(place)
        return f'<live-region id="{name}">{html}</live-region>'


_active: ContextVar[Regions | None] = ContextVar("djust_presence.regions", default=None)


def active_regions() -> Regions | None:
    """Those of the live view that is being rendered, or None: some other view renders this template."""
    return _active.get()


@contextmanager
def _collecting(regions: Regions) -> Iterator[None]:
    token = _active.set(regions)
    try:
        yield
    finally:
        _active.reset(token)


class Page(NamedTuple):
    """A view, rendered: the response, and the html of each region with the place where it stands."""

    response: HttpResponse
    regions: dict[str, str]
    places: tuple[str, ...]
    csrf_token: str

    @property
    def html(self) -> str:
        return self.response.content.decode(self.response.charset)


def render(view: LiveView, csrf_token: str) -> Page:
    """Render *view* with all that Django does for a template response.

    The same token every time, as one that Django makes anew for each rendering always differs.
    """
    context = view.get_context_data()
    if inspect.iscoroutine(context):
        context.close()
        raise TypeError(
            f"{type(view).__qualname__}.get_context_data() is async, but templates render in sync code: "
            "make it a plain method, and load what it needs in mount() or in an event handler."
        )
    context.setdefault("csrf_token", csrf_token)
    regions = Regions(context, view.request)
    with _collecting(regions):
        response = view.render_to_response(context)
        if isinstance(response, SimpleTemplateResponse):
            response = response.render()
    page = Page(response, regions.html, tuple(regions.places), csrf_token)
    return page if page.regions else page._replace(regions={WHOLE: page.html})


class Shown:
    """What one live page shows, kept as a digest per region. It starts with *page*, which is to be sent whole."""

    __slots__ = ("_digests", "_places", "_unsent", "csrf_token")

    def __init__(self, page: Page) -> None:
        self.csrf_token = page.csrf_token
        self._unsent: dict[str, str] = page.regions
        self._digests = _digests(page)
        self._places = page.places

    def first(self) -> dict[str, str]:
        """The regions that it started with, once."""
        regions, self._unsent = self._unsent, {}
        return regions

    def update(self, page: Page) -> dict[str, str]:
        """The regions of *page* that differ from what is shown; they count as shown from here on.

        Regions have their ids in order of rendering, so when one comes or goes (an ``{% if %}`` around it)
        the others would get their neighbours' content: then it is the whole page that differs.
        """
        shown, moved = self._digests, page.places != self._places
        self._digests, self._places = _digests(page), page.places
        if moved:
            return {WHOLE: page.html}
        return {name: html for name, html in page.regions.items() if self._digests[name] != shown[name]}


def _digests(page: Page) -> dict[str, bytes]:
    return {name: _digest(html) for name, html in page.regions.items()}


def _digest(html: str) -> bytes:
    return hashlib.blake2b(html.encode(errors="surrogatepass"), digest_size=16).digest()


def inject_script(response: HttpResponse, request: HttpRequest) -> None:
    """Put our script in before the last ``</body>`` of an HTML *response*, else at its end."""
    if not response.headers.get("Content-Type", "").startswith("text/html"):
        return
    content = response.content
    end = content.lower().rfind(b"</body>")
    if end < 0:
        end = len(content)
    response.content = content[:end] + _script(request).encode(response.charset) + content[end:]


def _script(request: HttpRequest) -> str:
    nonce = _nonce(request)
    return format_html(
        '<script src="{}" defer data-engine="{}" data-socket-prefix="{}"{}></script>',
        static("djust_presence/presence.js"),
        static("django_htmx/htmx-4.min.js"),
        get_settings().socket_prefix,
        "" if nonce is None else format_html(' nonce="{}"', nonce),
    )


def _nonce(request: HttpRequest) -> str | None:
    """The nonce of the page's Content-Security-Policy: Django's own (6.0 and later), or that of django-csp."""
    nonce = getattr(request, "csp_nonce", None)
    if nonce is None and django.VERSION >= (6, 0):
        from django.middleware.csp import get_nonce

        nonce = get_nonce(request)
    return None if nonce is None else str(nonce)
