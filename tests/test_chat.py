"""The chat of the example project: messages, their readers, and messages that are refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.live_pages import LivePage, Person
from tests.servers import SiteServer


@pytest.fixture(scope="module")
def site() -> Iterator[SiteServer]:
    with SiteServer() as server:
        yield server


class Room(LivePage):
    """Somebody's page of a room."""

    async def handle(self, name: str, **params: str) -> None:
        """Call an event handler, which must not fail."""
        answer = await self.call(name, **params)
        assert answer["type"] != "error", answer

    @property
    def messages(self) -> list[str]:
        """The messages, as they stand in the page's HTML."""
        return re.findall(r'<p class="bubble"[^>]*>(.*?)</p>', "".join(self.regions.values()), re.DOTALL)

    @property
    def users(self) -> list[tuple[str, str]]:
        """The face and the name of each who is in the room: the name of a picture, or initials."""
        html = "".join(self.regions.values()).partition('<ul class="user-list">')[2]
        found = re.findall(
            r'<span class="face".*?(?:/(\w+)\.svg"|aria-hidden="true">(\w+)<).*?person-name">(.*?)<',
            html,
            re.DOTALL,
        )
        return [(picture or initials, name) for picture, initials, name in found]

    @property
    def typing(self) -> list[str]:
        """The names of those who are typing."""
        found = re.search(r"<b>([^<]*)</b>\s*<span>(?:is|are) typing", "".join(self.regions.values()))
        return found[1].split(", ") if found else []


@pytest.fixture
async def room(site: SiteServer, request: pytest.FixtureRequest) -> AsyncIterator[list[Room]]:
    """The pages of Ada and of a guest in a room of this test alone."""
    name = re.sub(r"\W", "-", request.node.name)[:50]
    path = f"/chat/{name}/"
    async with Room(site, path, Person(site, "ada")) as ada, Room(site, path, Person(site)) as guest:
        for page in (ada, guest):
            await page.until(lambda page=page: len(page.users) == 2)  # type: ignore[misc]
        yield [ada, guest]


async def test_everybody_in_the_room_sees_a_message_and_nobody_in_another(
    site: SiteServer, room: list[Room]
) -> None:
    ada, guest = room
    async with Room(site, "/chat/elsewhere/", Person(site, "grace")) as elsewhere:
        await ada.handle("send", text=" Tea? ")
        await guest.handle("send", text="Yes!")
        await ada.until(lambda: ada.messages == ["Tea?", "Yes!"])
        await guest.until(lambda: guest.messages == ["Tea?", "Yes!"])
        await elsewhere.handle("send", text="Coffee.")
        await elsewhere.until(lambda: elsewhere.messages == ["Coffee."])
    assert ada.messages == ["Tea?", "Yes!"]


async def test_messages_are_there_for_visitors_who_come_later(site: SiteServer, room: list[Room]) -> None:
    await room[0].handle("send", text="Too early")
    async with Room(site, room[0].path, Person(site, "grace")) as late:
        assert "Too early" in late.html
        await late.until(lambda: late.messages == ["Too early"])


async def test_a_message_is_text_and_never_markup(room: list[Room]) -> None:
    ada, guest = room
    await ada.handle("send", text="<script>alert('x')</script> & co")
    await guest.until(lambda: guest.messages)
    assert guest.messages == ["&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; co"]


@pytest.mark.parametrize("text", ["", "  \t ", "x" * 501, "a\0b"], ids=["empty", "blank", "long", "null"])
async def test_a_value_that_is_not_a_message_is_not_said(room: list[Room], text: str) -> None:
    ada, guest = room
    await ada.handle("send", text=text)
    await ada.handle("send", text="y" * 500)
    await guest.until(lambda: guest.messages)
    assert guest.messages == ["y" * 500]


async def test_a_room_shows_its_last_fifty_messages(room: list[Room]) -> None:
    ada, guest = room
    for number in range(52):
        await ada.handle("send", text=str(number))
    await guest.until(lambda: guest.messages == [str(number) for number in range(2, 52)])


async def test_others_see_who_is_typing_until_it_is_said(room: list[Room]) -> None:
    ada, guest = room
    await ada.handle("typing", value="T")
    await guest.until(lambda: guest.typing == ["ada"])
    assert ada.typing == []
    await ada.handle("send", text="Tea?")
    await guest.until(lambda: guest.typing == [])
    await ada.handle("typing", value="S")
    await guest.until(lambda: guest.typing == ["ada"])
    await ada.handle("pause", value="S")
    await guest.until(lambda: guest.typing == [])


async def test_everybody_has_a_face(site: SiteServer, room: list[Room]) -> None:
    ada, guest = room
    first, (initials, name) = ada.users
    assert guest.users == ada.users
    assert first == ("ada", "ada")
    assert initials == "".join(word[0] for word in name.split())
    assert len(initials) == 2
    site.manage("createsuperuser", "--noinput", "--username", "new", "--email", "new@example.com")
    async with Room(site, ada.path, Person(site, "new")):
        await ada.until(lambda: ada.users[2:] == [("N", "new")])


def test_the_pictures_are_served_by_the_site_itself(site: SiteServer) -> None:
    for name in ("ada", "grace", "alan", "katherine"):
        assert Person(site).get(site, f"/static/demo/avatars/{name}.svg").startswith("<svg")


def test_the_migrations_are_those_of_the_models(site: SiteServer) -> None:
    assert "No changes detected" in site.manage("makemigrations", "--check", "--dry-run")


BROADCASTS = """
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.test import RequestFactory
from demo.views import ChatView

class Chat(ChatView):
    room_id, me = "tea", "guest"

    def broadcast_to_presence(self, event, payload=None):
        print(event, "before" if connection.in_atomic_block else "after", "the commit")

request = RequestFactory().get("/")
request.user = AnonymousUser()
view = Chat()
view.setup(request)
with transaction.atomic():
    view.send(text="Tea?")
"""


def test_the_others_hear_of_a_message_once_it_is_committed(site: SiteServer) -> None:
    assert "message after the commit" in site.manage("shell", "-c", BROADCASTS)
