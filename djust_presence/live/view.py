"""``LiveView``: a Django view that stays connected to the page it has rendered."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.utils.cache import patch_cache_control
from django.views.generic.base import ContextMixin, TemplateResponseMixin, View

from ..hosts import sessions
from ..hosts.outgoing import encode
from ..hosts.request import LiveRequest
from ..hosts.surroundings import Surroundings, surroundings_of
from ..mixins import presence_of
from .access import passes_tests
from .advice import CountShown, advice_for_view
from .code import mount
from .generic import Answered, Generic
from .page import LivePage
from .rendering import render
from .script import inject_script

__all__ = ["LiveView"]

# Django's own attributes of a view. Templates get ``request`` from the context processor.
NOT_IN_CONTEXT = frozenset({"request", "args", "kwargs", "head"})


class LiveView(Generic, TemplateResponseMixin, ContextMixin, View):
    """A page that is rendered over HTTP, mounted again over a WebSocket, and kept current from then on.

    ``mount`` runs both times, on an instance each. Public instance attributes are in the template's context,
    and methods decorated with ``@event_handler()`` may be called by the page. It may be one of Django's generic views:
    ``class TicketView(LiveView, DetailView)``.
    """

    share_parts: bool = True  # True if parts may be rendered once for all pages that show the same

    _live: LivePage | None = None  # on a live connection

    def mount(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Prepare the view for *request* and the arguments of its URL. Sync or async."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the template's context: public instance attributes, then *kwargs*, ``view`` and ``extra_context``."""
        attributes = {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_") and name not in NOT_IN_CONTEXT
        }
        if settings.DEBUG and (presence := presence_of(self)):
            attributes.setdefault("online_count", CountShown(presence))
        return {**attributes, **super().get_context_data(**kwargs)}

    def push_event(self, event: str, payload: Any = None) -> None:
        """Send *event* to the scripts of this page, after what is rendered next.

        They get it as a ``djust:push_event`` event on ``window``. While the page is rendered over HTTP it is
        dropped. Raises ``TypeError`` or ``ValueError`` for a payload that is not JSON.
        """
        frame = encode("push", event=event, payload=payload)
        if self._live is not None:
            self._live.code.pushed.append(frame)

    def still_allowed(self, user: Any) -> Any:
        """Return whether *user* may go on seeing this page; if not, its socket is closed. Sync or async.

        Called every ``REAUTH_INTERVAL``, with ``self.request.user`` just fetched, for visitors who are still logged in
        as before, with the same password, and active. By default Django's ``PermissionRequiredMixin`` and
        ``UserPassesTestMixin`` are checked again; demands of a decorator around the view are not known here.
        """
        return passes_tests(self)

    def live_context(self) -> AbstractContextManager[Any]:
        """Return a context for all code that runs for this page after ``mount``: handlers, callbacks, rendering.

        Language, time zone, URLconf and script prefix are as in ``mount`` by themselves. This is for other context that
        a project's middleware sets up around its views, such as the tenant; by default the one that ``PAGE_CONTEXT``
        returns.
        """
        surroundings = surroundings_of(self.request)
        return surroundings() if surroundings else nullcontext()

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Mount and render: the page for a browser, or its live regions for the page's socket."""
        # Sync, whatever mount is: natively async views break LoginRequiredMixin and ATOMIC_REQUESTS.
        response: HttpResponse
        try:
            if isinstance(request, LiveRequest):
                self._live = LivePage(self, request, _surroundings(self))
                response = self._live.mount(*args, **kwargs)
            else:
                sessions.welcome(request)
                mount(self, request, *args, **kwargs)
                response = render(self, get_token(request)).response
                inject_script(response, request, advice_for_view(self))
                sessions.prepare(request)
        except Answered as answered:
            return answered.response
        patch_cache_control(response, private=True, no_cache=True)
        return response

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method in ("POST", "PUT", "DELETE") and hasattr(self, "form_invalid"):
            # An invalid form is shown with the attributes that get() sets, and its PermissionDenied counts here too.
            with suppress(Answered):
                mount(self, request, *args, **kwargs)
        return super().dispatch(request, *args, **kwargs)


def _surroundings(view: LiveView) -> Surroundings | None:
    if type(view).live_context is LiveView.live_context:
        return surroundings_of(view.request)
    return view.live_context
