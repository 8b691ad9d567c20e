"""The live regions of a page: rendering, and the difference to the regions that the browser shows."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from hashlib import blake2b
from threading import Lock
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template import Engine, Template, TemplateSyntaxError, engines
from django.template.context import make_context
from django.template.response import SimpleTemplateResponse

from ..calls import call
from ..hosts.middleware import template_response_middleware
from ..hosts.outgoing import WHOLE, Changed
from .elements import PLAIN, Element
from .memo import Memo, digest
from .placing import Tagged, check_page

__all__ = [
    "Part",
    "Regions",
    "Rendering",
    "Shown",
    "TagPlace",
    "active_regions",
    "render",
]


class TagPlace(NamedTuple):
    """The place of a ``{% live %}``: the *number*-th of *template*, in *line*."""

    template: str
    line: int
    number: int

    def __str__(self) -> str:
        return f"{self.template}:{self.line}"

    def region_id(self, page: str) -> str:
        """Return the id of the region there, in a page that is rendered from the template *page*.

        It does not depend on the regions before it, as the page may have been loaded with other regions
        than its socket finds (an ``{% if %}`` around one).
        """
        if self.template == page:
            return f"live-{self.number}"
        return f"live-{blake2b(self.template.encode(), digest_size=4).hexdigest()}-{self.number}"


class Part(NamedTuple):
    """A region with a template of its own. It sees nothing of the page around it, and so needs none."""

    place: TagPlace
    page: str
    engine: Engine
    name: str

    def render(self, context: Mapping[str, Any], request: HttpRequest, memo: Memo | None = None) -> str:
        """Return its html for a view's *context*. Raises ``TemplateDoesNotExist``."""

        def render() -> str:
            template = self.engine.get_template(self.name)
            return template.render(make_context(dict(context), request, autoescape=self.engine.autoescape))

        return memo.render(self.engine, self.name, context, render) if memo else render()


class Regions:
    """The live regions of one rendering. Parts get a copy of *context*, and *request*."""

    def __init__(self, context: Mapping[str, Any], request: HttpRequest, memo: Memo | None = None) -> None:
        # Copied, without later additions of render_to_response: a part rendered by itself does not have these either.
        self.context = dict(context)
        self._request = request
        self._memo = memo
        self._inside: TagPlace | None = None
        self._times: Counter[str] = Counter()
        self.html: dict[str, str] = {}
        self.places: list[tuple[TagPlace, str]] = []
        self.parts: list[Part] = []
        self.tagged: list[Tagged] = []
        self.template: Template | None = None  # of the page

    @property
    def csrf_token(self) -> str:
        return str(self.context["csrf_token"])

    def update_context(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Take in changes by middleware of the context that a template response had *before*."""
        for name in before.keys() - after.keys():
            self.context.pop(name, None)
        for name, value in after.items():
            if name not in before or before[name] is not value:
                self.context[name] = value

    def add(self, place: TagPlace, page: str, render: Callable[[], str], element: Element = PLAIN) -> str:
        """Render the next region, which stands at *place* in a *page*, and return its markup."""
        if self._inside is not None:
            raise TemplateSyntaxError(
                f"{{% live %}} at {place} is inside the one at {self._inside}: regions do not nest."
            )
        self._inside = place
        try:
            html = render()
        finally:
            self._inside = None
        name = place.region_id(page)
        self._times[name] += 1
        if self._times[name] > 1:
            name = f"{name}-{self._times[name]}"
        self.html[name] = html
        start = element.start(name)
        self.places.append((place, start))
        self.tagged.append(Tagged(element.tag, place, start, html, element.end))
        return start + html + element.end

    def add_part(self, part: Part, *, fixed: bool, element: Element = PLAIN) -> str:
        """Render *part* as the next region. If it is not *fixed*, only a rendering of the page says which part it is."""
        if fixed:
            self.parts.append(part)
        render = partial(part.render, self.context, self._request, self._memo)
        return self.add(part.place, part.page, render, element)


_making_engines = Lock()
_active: ContextVar[Regions | None] = ContextVar("djust_presence.regions", default=None)


def active_regions() -> Regions | None:
    """Return the regions of the live view that is being rendered; None if another view renders this template."""
    return _active.get()


@contextmanager
def _collecting(regions: Regions) -> Iterator[None]:
    token = _active.set(regions)
    try:
        yield
    finally:
        _active.reset(token)


class Rendering(NamedTuple):
    """A view, rendered: the response, the html of each region, and its place with its start tag.

    *parts* are its regions if they can all be rendered without the rest of the page, which is that of *template*.
    """

    response: HttpResponse
    regions: Mapping[str, str]
    places: tuple[tuple[TagPlace, str], ...]
    parts: tuple[Part, ...]
    csrf_token: str
    template: Any = None

    @property
    def html(self) -> str:
        return self.response.content.decode(self.response.charset)


def render(view: Any, csrf_token: str) -> Rendering:
    """Render *view* with all that Django does for a template response.

    The token is the same every time: Django would make another for each rendering.
    """
    with _making_engines:  # two threads at once would make two of each, and their pages would share nothing
        engines.all()
    response, regions = _respond(view, csrf_token)
    template = getattr(response, "template_name", None)
    if isinstance(response, SimpleTemplateResponse):
        with _collecting(regions):
            response = response.render()
        # Otherwise Django would process and render it once more.
        vars(response)["render"] = None
    parts = tuple(regions.parts) if len(regions.parts) == len(regions.html) else ()
    page = Rendering(response, regions.html, tuple(regions.places), parts, csrf_token, template)
    if settings.DEBUG and regions.template:
        check_page(regions.template, regions.tagged, page.html)
    return page if page.regions else page._replace(regions={WHOLE: page.html})


def _respond(view: Any, csrf_token: str) -> tuple[HttpResponse, Regions]:
    """Return the response of *view*, ready to be rendered after the middleware, and its regions."""
    context = _context(view, csrf_token)
    regions = Regions(context, view.request)
    with _collecting(regions):
        response = view.render_to_response(context)
    if isinstance(response, SimpleTemplateResponse):
        before = dict(response.context_data or {})
        for process in template_response_middleware():
            response = call(process, view.request, response)
            if not isinstance(response, SimpleTemplateResponse):
                raise TypeError(
                    f"{process.__qualname__}() has returned {response!r:.200}, and no template response."
                )
        regions.update_context(before, response.context_data or {})
    return response, regions


def _context(view: Any, csrf_token: str) -> dict[str, Any]:
    context: dict[str, Any] = view.get_context_data()
    if inspect.iscoroutine(context):
        context.close()
        raise TypeError(
            f"{type(view).__qualname__}.get_context_data() is async, but templates render in sync code: "
            "make it a plain method, and load what it needs in mount() or in an event handler."
        )
    context.setdefault("csrf_token", csrf_token)
    return context


class Shown:
    """The regions that a live page shows, kept as digests. It starts with *page*, which is sent whole."""

    __slots__ = ("_digests", "_owes_page", "_parts", "_places", "_template", "_unsent", "csrf_token")

    def __init__(self, page: Rendering) -> None:
        self.csrf_token = page.csrf_token
        self._parts = page.parts
        self._places = page.places
        self._template = page.template
        self._owes_page = False
        self._unsent = Changed(page.regions)
        self._digests = _digests(page.regions)

    def first(self) -> Changed:
        """Return the regions that it started with, once."""
        regions, self._unsent = self._unsent, Changed()
        return regions

    def refresh(self, view: Any, memo: Memo | None = None) -> Changed:
        """Render *view* again, and return the regions that differ; they count as shown from here on.

        If all regions of the page are parts, only these are rendered, or taken from *memo*.
        """
        if self._parts and not self._owes_page:
            regions = self._render_parts(view, memo)
            if regions is not None:
                return self._differing(regions)
        return self.update(render(view, self.csrf_token))

    def _render_parts(self, view: Any, memo: Memo | None) -> Mapping[str, str] | None:
        """Return the html of the parts, as in ``render(view, ...)``; None if middleware has set another template."""
        context = None
        if template_response_middleware():
            response, processed = _respond(view, self.csrf_token)
            if getattr(response, "template_name", None) != self._template:
                return None
            context = processed.context
        if context is None:
            context = _context(view, self.csrf_token)
        if memo and (known := memo.recall(self._parts, context)):
            return dict(zip(self._digests, known, strict=True))
        regions = Regions(context, view.request, memo)
        with _collecting(regions):
            for part in self._parts:
                regions.add_part(part, fixed=True)
        return regions.html

    def owe_page(self) -> None:
        """Let the next refresh return the whole page: the browser's page has other regions. For any thread."""
        self._owes_page = True

    def update(self, page: Rendering) -> Changed:
        """Return the regions of *page* that differ from the shown ones; they count as shown from here on.

        When a region comes or goes (an ``{% if %}`` around it), or an attribute of one changes, the whole page
        differs.
        """
        whole = self._owes_page or page.places != self._places
        if whole:
            self._owes_page = False
        # Never back to parts: an inline region that has gone may come again.
        self._parts = self._parts and page.parts
        self._places, self._template = page.places, page.template
        changed = self._differing(page.regions)
        return Changed({WHOLE: page.html}) if whole else changed

    def _differing(self, regions: Mapping[str, str]) -> Changed:
        shown, self._digests = self._digests, _digests(regions)
        return Changed(
            {name: html for name, html in regions.items() if self._digests[name] != shown.get(name)}
        )


def _digests(regions: Mapping[str, str]) -> dict[str, bytes]:
    return {name: digest(html) for name, html in regions.items()}
