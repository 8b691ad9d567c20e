from __future__ import annotations

import gzip
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.staticfiles import finders
from django.http import HttpRequest
from django.test import AsyncClient, Client, RequestFactory

from djust_presence.live import LiveView
from djust_presence.mixins import PresenceMixin
from djust_presence.view_presence import ViewPresence

from . import views


def get(view: type[LiveView], **kwargs: Any) -> Any:
    return view.as_view()(RequestFactory().get("/"), **kwargs)


def test_get_mounts_and_renders(client: Client) -> None:
    response = client.get("/counter/7/")
    assert response.status_code == 200
    assert '<p id="count">7</p>' in response.content.decode()
    assert response["Content-Type"] == "text/html; charset=utf-8"


def test_get_works_under_asgi_too(async_client: AsyncClient) -> None:
    response = async_to_sync(async_client.get)("/async/")
    assert '<p id="count">40</p>' in response.content.decode()


def test_an_async_mount_works_without_a_loop(client: Client) -> None:
    assert '<p id="count">40</p>' in client.get("/async/").content.decode()


def test_a_live_page_is_not_cached(client: Client) -> None:
    assert client.get("/counter/")["Cache-Control"] == "private, no-cache"


def test_head_and_options_are_django_s(client: Client) -> None:
    assert client.head("/counter/").status_code == 200
    assert "GET" in client.options("/counter/")["Allow"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(method: str, client: Client) -> None:
    assert client.generic(method, "/counter/").status_code == 405


def test_the_scripts_are_at_the_end_of_the_page(client: Client) -> None:
    scripts = (
        '<script src="/static/djust_presence/patch.js"></script>'
        '<script src="/static/djust_presence/base.js" defer '
        'data-cursors="/static/djust_presence/cursors.js" data-socket-prefix=""></script>'
        '<script src="/static/djust_presence/forms.js" defer></script>'
        '<script src="/static/djust_presence/presence.js" defer></script></body></html>'
    )
    assert client.get("/counter/").content.decode().rstrip().endswith(scripts)
    assert client.get("/here/").content.decode().rstrip().endswith("</script>")


def test_the_scripts_of_a_page_are_few_and_small(client: Client) -> None:
    names = re.findall(r'<script src="/static/([^"]+)"', client.get("/counter/").content.decode())
    assert len(names) <= 4
    files = [finders.find(name) for name in names]
    assert sum(len(gzip.compress(Path(file).read_bytes())) for file in files if file) <= 24 * 1024
    assert all(files)


def test_the_first_rendering_counts_its_reader(client: Client) -> None:
    assert "1 online" in client.get("/here/").content.decode()
    assert "1 online" in client.get("/here-after/").content.decode()


def test_public_instance_attributes_are_in_the_context(client: Client) -> None:
    context = client.get("/counter/7/").context_data
    assert context is not None
    assert context["count"] == 7
    assert context["title"] == "Counting"
    assert isinstance(context["view"], views.Counter)
    assert "kwargs" not in context
    assert "request" not in context
    assert not any(name.startswith("_") for name in context)


def test_explicit_context_wins() -> None:
    class View(views.Counter):
        def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
            return super().get_context_data(count="more", **kwargs)

    assert '<p id="count">more</p>' in get(View).rendered_content


def test_an_async_context_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"AsyncContext.get_context_data\(\) is async"):
        get(views.AsyncContext)


def test_mount_gets_the_request_and_the_arguments_of_the_url() -> None:
    seen: list[Any] = []

    class View(views.Counter):
        def mount(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
            seen.append((request, self.request, args, self.args, kwargs, self.kwargs))

    request = RequestFactory().get("/")
    View.as_view()(request, 1, doc_id=2)
    assert seen == [(request, request, (1,), (1,), {"doc_id": 2}, {"doc_id": 2})]


def test_without_mount_and_without_connection_a_view_still_renders() -> None:
    class View(LiveView):
        template_name = "live/counter.html"

        def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
            self.push_event("goes", "nowhere")
            return super().get_context_data(**kwargs)

    assert get(View).status_code == 200


@pytest.mark.parametrize(
    "bases", [(PresenceMixin, LiveView), (LiveView, PresenceMixin)], ids=["mixin first", "mixin last"]
)
def test_the_mixin_may_stand_on_either_side(bases: tuple[type, ...]) -> None:
    called: list[str] = []

    class Counted(ViewPresence):
        def mounted(self) -> None:
            called.append("mounted")
            super().mounted()

    own = cached_property(Counted)
    view = type("View", bases, {"template_name": "live/here.html", "_presence": own})
    own.__set_name__(view, "_presence")
    assert get(view).status_code == 200
    assert called == ["mounted"]


def test_a_payload_must_be_json() -> None:
    view = views.Counter()
    view.setup(RequestFactory().get("/"))
    with pytest.raises(TypeError):
        view.push_event("e", object())
    with pytest.raises(ValueError, match="JSON"):
        view.push_event("e", float("inf"))


def test_login_is_asked_for_as_on_any_view(client: Client) -> None:
    assert client.get("/members/").status_code == 302
    assert client.get("/decorated/").status_code == 302
