"""Django's generic views that are live views too: no trick is needed."""

# mypy: disable-error-code="type-arg"

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django import forms
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.test import Client, RequestFactory
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.generic import (
    ArchiveIndexView,
    CreateView,
    DeleteView,
    DetailView,
    FormView,
    ListView,
    RedirectView,
    TemplateView,
    UpdateView,
    YearArchiveView,
)
from django.views.generic.detail import BaseDetailView, SingleObjectMixin
from pytest_django import Settings

from djust_presence import LiveView, PresenceMixin, event_handler
from djust_presence.testing import presence
from tests.pages import Visitor, site

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

PAGE = """{{ online_count }} online, {{ object.name }}{{ group.name }}, {{ view.get_presence_key }}
{% for one in object_list %}<li>{{ one }}</li>{% endfor %}
{% if page_obj %}page {{ page_obj.number }} of {{ paginator.num_pages }}{% endif %}
{% if form %}<form method="post">{% csrf_token %}{{ form }}</form>{% endif %}
{% for date in date_list %}<time>{{ date.year }}</time>{% endfor %}
{{ latest|length }} latest, {{ year.year }}, by {{ by }}, kind {{ kind }}, said {{ said }}"""


class Tracked(PresenceMixin):
    """As every page here is tracked."""

    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        self.said = "mounted"
        self.track_presence()


class GroupDetail(PresenceMixin, LiveView, DetailView):
    """Has no mount() of its own."""

    model = Group
    template_name = "page.html"
    presence_key = "group:{pk}"


class GroupBySlug(Tracked, LiveView, DetailView):
    model = Group
    slug_field = "name"
    template_name = "page.html"
    presence_key = "group:{slug}"


class GroupOfMember(PresenceMixin, LiveView, DetailView):
    """Looks at the object in mount()."""

    model = Group
    template_name = "page.html"
    presence_key = "group:{object.name}"

    def mount(self, request: HttpRequest, pk: int) -> None:
        if self.object.name == "secret":
            raise PermissionDenied
        self.said = self.object.name
        self.track_presence()

    @event_handler()
    def change(self, to: str) -> None:
        Group.objects.filter(pk=self.object.pk).update(name=to)

    @event_handler()
    def reload(self) -> None:
        self.object = self.get_object()


class GroupLater(GroupOfMember):
    async def mount(self, request: HttpRequest, pk: int) -> None:  # type: ignore[override]
        super().mount(request, pk)


class GroupAlone(Tracked, LiveView, SingleObjectMixin):
    """A mixin of Django's that has no get(): the object is mount()'s to find."""

    model = Group
    template_name = "page.html"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.object = self.get_object()
        super().mount(request, **kwargs)


class Groups(Tracked, LiveView, ListView):
    model = Group
    ordering = "pk"
    template_name = "page.html"
    paginate_by = 2

    @event_handler()
    def add(self, group: str) -> None:
        Group.objects.create(name=group)


class SomeGroups(PresenceMixin, LiveView, ListView):
    model = Group
    template_name = "page.html"
    allow_empty = False
    extra_context = {"by": "nobody"}

    def get_context_data(self, *, object_list: Any = None, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(object_list=object_list, **kwargs)
        return context | {"kind": len(context["object_list"])}


class EditGroup(Tracked, LiveView, UpdateView):
    model = Group
    fields = ("name",)
    template_name = "page.html"
    presence_key = "group:{pk}"
    success_url = "/group/{id}/"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(by=self.said, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        self.broadcast_to_presence("saved", form.cleaned_data["name"])
        return response


class NewGroup(Tracked, LiveView, CreateView):
    model = Group
    fields = ("name",)
    template_name = "page.html"
    success_url = "/group/{id}/"


class NoGroup(GroupOfMember, DeleteView):
    template_name = "page.html"
    success_url = "/groups/"


class NameForm(forms.Form):
    name = forms.SlugField()


class Ask(PresenceMixin, LiveView, FormView):
    form_class = NameForm
    template_name = "page.html"
    success_url = "/groups/"
    initial = {"name": "anything"}


class Joined(Tracked, LiveView, ArchiveIndexView):
    model = User
    date_field = "date_joined"
    template_name = "page.html"


class JoinedIn(PresenceMixin, LiveView, YearArchiveView):
    model = User
    date_field = "date_joined"
    template_name = "page.html"


class About(PresenceMixin, LiveView, TemplateView):
    template_name = "page.html"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()
        if kwargs["kind"] == "own":
            self.kind = "other"


class Members(LoginRequiredMixin, Tracked, LiveView, DetailView):
    model = Group
    template_name = "page.html"


class Moved(PresenceMixin, LiveView, RedirectView):
    url = "/group/1/"


class Oriented(DetailView):
    """A view of the project's, with a get() of its own, that is made live."""

    model = Group
    template_name = "page.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.object = self.get_object()
        if "name" not in request.GET:
            return HttpResponseRedirect(f"{request.path}?name={self.object.name}")
        context = self.get_context_data(object=self.object)
        context["kind"] = context["object"].name.upper()
        return self.render_to_response(context)


class Cached(DetailView):
    @method_decorator(never_cache)
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse()


class Polite(DetailView):
    """Calls the next class."""

    @method_decorator(never_cache)
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().get(request, *args, **kwargs)


class LiveOriented(Tracked, LiveView, Oriented):
    presence_key = "oriented:{pk}"


urlpatterns = [
    path("group/<int:pk>/", GroupDetail.as_view()),
    path("by-slug/<slug:slug>/", GroupBySlug.as_view()),
    path("member/<int:pk>/", GroupOfMember.as_view()),
    path("later/<int:pk>/", GroupLater.as_view()),
    path("alone/<int:pk>/", GroupAlone.as_view()),
    path("groups/", Groups.as_view()),
    path("some/", SomeGroups.as_view()),
    path("edit/<int:pk>/", EditGroup.as_view()),
    path("new/", NewGroup.as_view()),
    path("delete/<int:pk>/", NoGroup.as_view()),
    path("ask/", Ask.as_view()),
    path("joined/", Joined.as_view()),
    path("joined/<int:year>/", JoinedIn.as_view()),
    path("about/<str:kind>/", About.as_view()),
    path("members/<int:pk>/", Members.as_view()),
    path("moved/", Moved.as_view()),
    path("oriented/<int:pk>/", LiveOriented.as_view()),
]


@pytest.fixture(autouse=True)
async def pages(settings: Settings) -> AsyncIterator[None]:
    for name, value in site({"page.html": PAGE}).items():
        setattr(settings, name, value)
    settings.DJUST_PRESENCE = {"GRACE": 0.05, "REFRESH_INTERVAL": 0.01}
    async with presence():
        yield


@pytest.fixture(autouse=True)
def groups() -> None:
    for pk, name in enumerate(["staff", "secret", "third"], start=1):
        Group.objects.create(pk=pk, name=name)
    User.objects.create(username="eve", date_joined=datetime(2020, 5, 1, tzinfo=UTC))


def shown(html: str) -> str:
    """Return what a page shows, without its script and tokens."""
    html = re.sub(r'value="\w{64}"', "", html.partition("<script")[0])
    return " ".join(html.split())


CASES = [
    ("/group/1/", "staffstaff, group:1 "),
    ("/by-slug/staff/", "1 online, staffstaff, group:staff "),
    ("/member/1/", "1 online, staffstaff, group:staff "),
    ("/later/1/", "said staff"),
    ("/alone/1/", "1 online, staffstaff"),
    ("/groups/", "<li>staff</li><li>secret</li> page 1 of 2"),
    ("/groups/?page=2", "<li>third</li> page 2 of 2"),
    ("/some/", "by nobody, kind 3"),
    ("/edit/1/", 'value="staff"'),
    ("/edit/1/", "by mounted"),
    ("/new/", 'name="name"'),
    ("/delete/1/", "1 online, staffstaff"),
    ("/ask/", 'value="anything"'),
    ("/joined/", "<time>2020</time> 1 latest"),
    ("/joined/2020/", "<time>2020</time> 0 latest, 2020"),
    ("/about/this/", "1 online, , "),
    ("/about/this/", "kind this"),
    ("/about/own/", "kind other"),
    ("/oriented/1/?name=staff", "1 online, staffstaff, oriented:1 "),
    ("/oriented/1/?name=staff", "kind STAFF"),
]


@pytest.mark.parametrize(("page", "text"), CASES)
async def test_a_page_shows_what_the_generic_view_shows_and_goes_on_to(page: str, text: str) -> None:
    visitor = Visitor()
    html = await visitor.get(page)
    assert text in shown(html)
    async with visitor.socket(page) as socket:
        assert shown(await socket.until(" online")) == shown(html)
        await socket.send_json_to({"type": "page"})
        await socket.frame()
        assert text in shown(socket.html)


@pytest.mark.parametrize(
    ("page", "status", "code"),
    [
        ("/group/9/", 404, 4404),
        ("/by-slug/nowhere/", 404, 4404),
        ("/groups/?page=9", 404, 4404),
        ("/joined/1999/", 404, 4404),
        ("/member/2/", 403, 4403),
        ("/members/1/", 302, 4401),
        ("/moved/", 302, 4401),
        ("/oriented/1/", 302, 4401),
    ],
)
async def test_other_answers_of_a_generic_view_are_the_same_on_both_sides(
    page: str, status: int, code: int
) -> None:
    visitor = Visitor()
    assert (await visitor.client.get(page)).status_code == status
    async with visitor.socket(page) as socket:
        message = await socket.receive_output(timeout=5)
        assert (message["type"], message["code"]) == ("websocket.close", code)


async def test_an_empty_list_is_missing_where_it_may_not_be() -> None:
    await Group.objects.all().adelete()
    assert (await Visitor().client.get("/some/")).status_code == 404


async def test_an_object_is_the_view_s_until_the_view_asks_for_it_again() -> None:
    async with Visitor("ada").opens("/member/3/") as page:
        await page.call("change", to="thirteenth")
        await page.send_json_to({"type": "page"})
        await page.frame()
        assert "1 online, thirdthird" in page.html
        await page.call("reload")
        assert "1 online, thirteenththirteenth" in page.html


async def test_a_list_with_pages_is_asked_for_at_each_rendering() -> None:
    async with Visitor("ada").opens("/groups/?page=2") as page:
        await page.call("add", group="fourth")
        assert "<li>third</li><li>fourth</li> page 2 of 2" in shown(page.html)


def test_an_object_is_asked_for_once_over_http(client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert client.get("/by-slug/staff/").status_code == 200
    with django_assert_num_queries(2):  # as in Django: how many, and the rows
        assert client.get("/groups/").status_code == 200


def test_a_form_is_posted_as_in_django(client: Client) -> None:
    response = client.post("/edit/1/", {"name": "crew"})
    assert (response.status_code, response["Location"]) == (302, "/group/1/")
    assert Group.objects.get(pk=1).name == "crew"
    response = client.post("/edit/1/", {"name": "secret"})
    html = response.content.decode()
    assert response.status_code == 200
    assert "already exists" in html
    assert 'value="secret"' in html
    assert "1 online, crewcrew" in html.replace("secretsecret", "crewcrew")
    assert "by mounted" in html
    response = client.post("/new/", {"name": "fresh"})
    assert response["Location"] == f"/group/{Group.objects.get(name='fresh').pk}/"
    assert client.post("/new/", {"name": ""}).status_code == 200
    assert "letters, numbers" in client.post("/ask/", {"name": "a b"}).content.decode()
    assert client.post("/ask/", {"name": "a"})["Location"] == "/groups/"
    assert client.post("/delete/3/")["Location"] == "/groups/"
    assert not Group.objects.filter(pk=3).exists()
    assert client.post("/edit/9/", {"name": "x"}).status_code == 404
    for refused in (client.post("/delete/2/"), client.delete("/delete/2/")):
        assert refused.status_code == 403
    assert Group.objects.filter(pk=2).exists()
    assert client.post("/group/1/").status_code == 405
    assert client.post("/oriented/1/").status_code == 405


async def test_a_visitor_who_saves_a_form_tells_the_others() -> None:
    ada = Visitor("ada")
    async with ada.opens("/group/1/"), Visitor("grace").opens("/edit/1/") as page:
        await ada.client.post("/edit/1/", {"name": "crew"})
        assert await page.until_event("saved") == "crew"


@pytest.mark.parametrize(
    ("bases", "right"),
    [
        ((TemplateView, LiveView), "LiveView, TemplateView"),
        ((RedirectView, PresenceMixin, LiveView), "PresenceMixin, LiveView, RedirectView"),
        ((PresenceMixin, BaseDetailView, LiveView), "PresenceMixin, LiveView, BaseDetailView"),
        ((LoginRequiredMixin, Oriented, LiveView), "LoginRequiredMixin, LiveView, Oriented"),
        ((Cached, GroupAlone), "GroupAlone, Cached"),
    ],
)
def test_an_order_in_which_a_view_would_not_be_live_is_refused_with_the_right_one(
    bases: tuple[type, ...], right: str
) -> None:
    with pytest.raises(TypeError, match=rf"Ticket would never be live.*class Ticket\({right}\)"):
        type("Ticket", bases, {})
    good = [one for name in right.split(", ") for one in bases if one.__name__ == name]
    assert issubclass(type("Ticket", tuple(good), {}), LiveView)


@pytest.mark.parametrize("before", [DetailView, Polite])
def test_a_view_whose_get_leaves_it_to_the_live_one_may_come_first(before: type) -> None:
    attributes = {"model": Group, "template_name": "page.html", "mount": Tracked.mount}
    view: Any = type("Ticket", (before, PresenceMixin, LiveView), attributes)
    request = RequestFactory().get("/")
    request.user, request.session = AnonymousUser(), {}  # type: ignore[assignment]
    html = view.as_view()(request, pk=1).content.decode()
    assert "1 online, staffstaff" in html
    assert "presence.js" in html
