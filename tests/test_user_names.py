"""User models whose names are no text: a phone number, a UUID, a number, a relation, none at all."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, models
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.translation import gettext_lazy
from phonenumber_field.modelfields import PhoneNumberField
from pytest_django import Settings

from djust_presence import LiveCursorMixin, LiveView, event_handler, presence
from djust_presence.channels import PresenceConsumerMixin
from tests.pages import Page, Visitor, site
from tests.test_channels import connected
from tests.until import until

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

NUMBER = "+41446681800"
WORD = uuid.UUID(int=7)


class Account(AbstractBaseUser):
    class Meta:
        abstract = True
        app_label = "names"


class Person(models.Model):
    first_name = models.CharField(max_length=30)

    class Meta:
        app_label = "names"

    def __str__(self) -> str:
        return self.first_name


class ByPhone(Account):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    phone = PhoneNumberField(unique=True)
    USERNAME_FIELD = "phone"


class ByUuid(Account):
    word = models.UUIDField(unique=True)
    USERNAME_FIELD = "word"


class ByNumber(Account):
    number = models.IntegerField(unique=True)
    USERNAME_FIELD = "number"


class ByPerson(Account):
    person = models.OneToOneField(Person, models.CASCADE, primary_key=True)
    USERNAME_FIELD = "person"


class Nameless(Account):
    nick = models.CharField(max_length=30, null=True, unique=True)  # noqa: DJ001  as such models are
    USERNAME_FIELD = "nick"


USERS: dict[str, tuple[Callable[[], Account], str]] = {
    "phone": (lambda: ByPhone(pk=uuid.UUID(int=1), phone=NUMBER), NUMBER),
    "uuid": (lambda: ByUuid(word=WORD), str(WORD)),
    "number": (lambda: ByNumber(number=0), "0"),
    "relation": (lambda: ByPerson(person=Person._default_manager.create(first_name="Ada")), "Ada"),
    "none": (lambda: Nameless(nick=None), "Guest"),
    "empty": (lambda: Nameless(nick=""), "Guest"),
}
MODELS = (Person, ByPhone, ByUuid, ByNumber, ByPerson, Nameless)


class Board(LiveCursorMixin, LiveView):
    template_name = "board.html"
    presence_key = "board"

    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        self.track_presence()

    @event_handler()
    def say(self, text: str) -> None:
        self.update_presence(status=text)

    @event_handler()
    async def asay(self, text: str) -> None:
        self.track_presence({"status": text})


class AsyncBoard(Board):
    async def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        self.track_presence()


class NamedBoard(Board):
    """As the guide has it."""

    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        self.track_presence(meta={"name": request.user.get_username(), "role": gettext_lazy("Author")})


class Chat(PresenceConsumerMixin, AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        self.track_presence("board")

    async def handle_presence_join(self, key: str, presence: dict[str, Any]) -> None:
        await self.send_json(["join", presence["name"]])


urlpatterns = [
    path("board/", Board.as_view()),
    path("async/", AsyncBoard.as_view()),
    path("named/", NamedBoard.as_view()),
]
boards = pytest.mark.parametrize("board", ["/board/", "/async/", "/named/"])


def log_in(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Fetches the user as Django's middleware would: without what they are related to."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.user = the_user()
        return get_response(request)

    return middleware


def the_user() -> Any:
    return next(user for model in MODELS[1:] for user in model._default_manager.all())


@pytest.fixture(params=USERS)
def kind(request: pytest.FixtureRequest, settings: Settings, quiet_presence: None) -> Iterator[str]:
    templates = {
        "board.html": "{% load djust_presence %}{% live_cursors %}<i>{{ online_count }}</i>{% endlive_cursors %}"
    }
    for name, value in site(templates).items():
        setattr(settings, name, value)
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:-1], f"{__name__}.log_in"]
    with connection.schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    USERS[request.param][0]().save()
    yield request.param
    with connection.schema_editor() as editor:
        for model in reversed(MODELS):
            editor.delete_model(model)


async def record(**fields: str) -> dict[str, Any]:
    """Return the record of the group that has these *fields*, once there is one."""

    async def found() -> list[dict[str, Any]]:
        return [one for one in await presence.alist("board") if fields.items() <= one.items()]

    (record,) = await until(found)
    return dict(record)


async def drawn_name(page: Page) -> str:
    """The name of the cursor that the page is told of; empty if it has none."""
    while True:
        frame = await page.frame()
        if frame["type"] == "cursors" and "who" in frame:
            (who,) = frame["who"].values()
            return str(who.get("name", ""))


@boards
async def test_a_page_and_its_cursor_show_the_name_as_text(kind: str, board: str) -> None:
    name = USERS[kind][1]
    visitor = Visitor()
    async with visitor.opens(board) as page, visitor.opens("/board/") as other:
        one = await record()
        user = await sync_to_async(the_user)()
        assert (one["name"], one["id"]) == (name, str(user.pk))
        assert one["user_id"] == (user.pk if isinstance(user.pk, int) else str(user.pk))
        await other.send_json_to({"type": "cursors"})
        await page.send_json_to({"type": "cursor", "x": 1, "y": 2})
        assert await drawn_name(other) == ("" if name == "Guest" else name)


async def test_the_name_stays_when_the_meta_changes_in_async_code_too(kind: str) -> None:
    async with Visitor().opens("/async/") as page:
        for handler in ("say", "asay"):
            assert (await page.call(handler, text=handler))["type"] == "ack"
            assert (await record(status=handler))["name"] == USERS[kind][1]


async def test_a_consumer_shows_the_name_as_text(kind: str) -> None:
    user = await sync_to_async(the_user)()
    async with connected(Chat, user) as client:
        await client.until("join", USERS[kind][1])


async def test_a_lazy_text_in_a_meta_becomes_text(kind: str) -> None:
    async with Visitor().opens("/named/"):
        assert (await record())["role"] == "Author"


async def test_a_jobs_name_is_text(quiet_presence: None) -> None:
    await presence.ajoin("board", "worker", {"name": WORD, "state": gettext_lazy("Guest")})
    assert (await record())["name"] == str(WORD)
    await presence.aleave("board", "worker")
