"""The pages of the tests of the built-in host."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.cache import patch_cache_control

from djust_presence.events import event_handler
from djust_presence.live import LiveView
from djust_presence.mixins import PresenceMixin


class Counter(LiveView):
    template_name = "live/counter.html"
    count: Any

    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        self.count = kwargs.get("start", 0)

    @event_handler()
    def add(self, amount: int = 1) -> None:
        self.count += amount
        if amount > 1:
            self.push_event("added", {"amount": amount})

    @event_handler
    def nothing(self) -> None:
        pass

    @event_handler()
    def fail(self) -> None:
        self.count = -1
        raise RuntimeError("a handler's failure")

    @event_handler()
    def spoil(self) -> None:
        self.push_event("spoiled", float("nan"))

    @event_handler()
    async def aadd(self, amount: int = 1) -> None:
        await asyncio.sleep(0)
        self.count += amount

    @event_handler()
    async def afail(self) -> None:
        raise RuntimeError("an async handler's failure")

    @event_handler()
    def forbid(self) -> None:
        raise PermissionDenied

    @event_handler()
    async def aforbid(self) -> None:
        raise PermissionDenied

    @event_handler()
    def pick(self, token: UUID) -> None:
        self.count = token.int

    def helper(self) -> None:
        raise AssertionError("a helper was called")


class RegionCounter(Counter):
    template_name = "live/regions.html"


class Optional(Counter):
    template_name = "live/optional.html"


class AsyncCounter(Counter):
    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.count = 40

    @event_handler()
    def wait(self) -> None:
        self.count += 1


class Slow(Counter):
    """Handlers that wait for each other."""

    entered: ClassVar[threading.Event]
    leave: ClassVar[threading.Event]

    @event_handler()
    def hold(self) -> None:
        self.entered.set()
        assert self.leave.wait(5)
        self.count = 100


class Here(PresenceMixin, Counter):
    presence_key = "here"
    presence_unique_per_connection = True
    template_name = "live/here.html"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        super().mount(request, **kwargs)
        self.track_presence()

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.push_event("joined", presence["name"])

    @event_handler()
    def shout(self, text: str) -> None:
        self.broadcast_to_presence("shout", {"text": text})


class HereAfter(Counter, PresenceMixin):
    """The mixin on the other side."""

    presence_key = "here"
    presence_unique_per_connection = True
    template_name = "live/here.html"

    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()


class HereSlow(Here, Slow):
    pass


class Ambient(LiveView):
    template_name = "live/ambient.html"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.count = 0

    @event_handler()
    def add(self) -> None:
        self.count += 1

    @event_handler()
    async def aadd(self) -> None:
        self.count = (
            translation.get_language() == "de" and str(timezone.get_current_timezone()) == "Asia/Tokyo"
        )


class Members(LoginRequiredMixin, Counter):
    pass


class Answers(Counter):
    """Mounts in every way that fails."""

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        match kwargs["what"]:
            case "forbidden":
                raise PermissionDenied
            case "missing":
                raise Http404
            case "suspicious":
                raise SuspiciousOperation
            case "broken":
                raise RuntimeError("a mount's failure")
        super().mount(request)


class AsyncContext(Counter):
    async def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        return {}


class User(Counter):
    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.count = request.user.get_username()


class Form(Counter):
    template_name = "live/form.html"


class Redirecting(Counter):
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.GET.get("go"):
            return HttpResponse(status=302, headers={"Location": "/elsewhere/"})
        return super().get(request, *args, **kwargs)


def plain(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("plain")
    patch_cache_control(response, private=True)
    return response


class Crowd(PresenceMixin, LiveView):
    """Many watch, and few come."""

    presence_key = "crowd"
    presence_unique_per_connection = True
    template_name = "live/crowd.html"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        if "come" in request.GET:
            self.track_presence()
        else:
            self.watch_presence()
