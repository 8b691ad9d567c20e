"""``LiveView``: a Django view that goes on living behind the page it has rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.utils.cache import patch_cache_control
from django.views.generic.base import ContextMixin, TemplateResponseMixin, View

from djust_presence.mixins import PresenceMixin

from .rendering import Page, encode, inject_script, render
from .request import LiveRequest
from .threads import Ambient, call

if TYPE_CHECKING:
    from djust_presence.tracker import Session

    from .consumer import LiveViewConsumer

__all__ = ["LiveView"]

# Django's own attributes of a view. Templates get ``request`` from the context processor.
NOT_IN_CONTEXT = frozenset({"request", "args", "kwargs", "head"})


class LiveView(TemplateResponseMixin, ContextMixin, View):
    """A page that is rendered over HTTP, mounted again over a WebSocket, and kept current from then on.

    ``mount`` runs both times, on an instance each. Public instance attributes are in the template's context.
    """

    _presence: Session | None = None
    _connection: LiveViewConsumer | None = None
    _pushed: list[str]
    _ambient: Ambient
    _csrf_token: str
    _first_page: Page | None = None

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self._pushed = []

    def mount(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Set the view up for *request*, with the arguments of its URL. Sync or async."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The template's context: public instance attributes, then *kwargs*, ``view`` and ``extra_context``."""
        attributes = {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_") and name not in NOT_IN_CONTEXT
        }
        return {**attributes, **super().get_context_data(**kwargs)}

    def push_event(self, event: str, payload: Any = None) -> None:
        """Send *event* to this page's scripts, as ``djust:push_event`` on ``window``, after the next render.

        Raises ``TypeError`` or ``ValueError`` if *payload* is not JSON. Does nothing before there is a socket.
        """
        frame = encode("push", event=event, payload=payload)
        if self._connection is not None:
            self._pushed.append(frame)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Sync, whatever mount is: natively async views break LoginRequiredMixin and ATOMIC_REQUESTS.
        response: HttpResponseBase
        if isinstance(request, LiveRequest):
            request.connect(self)
            self._mount(request, *args, **kwargs)
            # A socket can set no cookie, so without one there is no token that would ever be valid.
            self._csrf_token = get_token(request) if "CSRF_COOKIE" in request.META else "NOTPROVIDED"
            self._ambient = Ambient.capture()
            self._first_page = render(self)
            response = HttpResponse()
            request.go_live(self, response)
        else:
            self._mount(request, *args, **kwargs)
            self._csrf_token = get_token(request)
            response = render(self).response
            inject_script(response, request)
        patch_cache_control(response, private=True, no_cache=True)
        return response

    def _mount(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        call(self.mount, request, *args, **kwargs)
        if isinstance(self, PresenceMixin):
            self._mounted()
