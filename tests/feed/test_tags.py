from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ImproperlyConfigured
from django.template import TemplateSyntaxError
from django.test import override_settings
from pytest_django import Settings

from djust_presence import presence
from djust_presence.errors import PresenceError, PresenceKeyError
from djust_presence.feed.people import shown_count
from djust_presence.feed.tags import hue
from djust_presence.feed.tickets import Ticket, bound_to, room_of
from djust_presence.identity import VISITOR
from djust_presence.keys import opaque_id
from tests.feed.site import ADA, GRACE, asked, attributes, rendered

pytestmark = pytest.mark.urls("tests.feed.site")


@pytest.fixture
def key() -> Iterator[str]:
    """A group of this test alone."""
    key = f"tags:{uuid4().hex}"
    yield key
    for one in presence.list(key):
        presence.leave(key, one["id"])


def text(markup: str) -> str:
    return re.sub("<[^>]*>", "", markup)


def ticket(markup: str, element: str = "presence-count", user: str | None = "7") -> Ticket:
    return Ticket.read(attributes(markup, element)[0]["ticket"], asked(), user)


# Counts


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (1299, "1.2k"),
        (999_999, "999.9k"),
        (10**6, "1M"),
        (3_456_789, "3.4M"),
    ],
)
def test_large_counts_are_rounded_down(count: int, shown: str) -> None:
    assert shown_count(count) == shown


def test_a_reader_who_is_logged_in_counts_themselves_once(key: str) -> None:
    source = "{% presence_count key %}"
    assert text(rendered(source, asked(ADA), key=key)) == "1"
    presence.join(key, "8")
    assert text(rendered(source, asked(ADA), key=key)) == "2"
    presence.join(key, ADA)
    assert text(rendered(source, asked(ADA), key=key)) == "2"


def test_a_visitor_with_a_session_is_known_by_it(key: str) -> None:
    presence.join(key, "anon_abc")
    source = "{% presence_count key %}"
    assert text(rendered(source, asked(session={VISITOR: "abc"}), key=key)) == "1"
    assert text(rendered(source, asked(session={VISITOR: "abd"}), key=key)) == "2"


def test_a_visitor_without_a_session_gets_none_and_reads_at_least_one(key: str) -> None:
    request = asked()
    assert text(rendered("{% presence_count key %}", request, key=key)) == "1"
    assert request.session == {}
    presence.join(key, "8")
    assert text(rendered("{% presence_count key %}", asked(), key=key)) == "1"


def test_a_watching_page_is_not_counted(key: str) -> None:
    markup = rendered("{% presence_count key watch=True %}", asked(ADA), key=key)
    assert text(markup) == "0"
    assert "watch" in attributes(markup, "presence-count")[0]
    assert not ticket(markup).tracks


def test_a_watching_tag_of_a_page_whose_reader_takes_part_counts_them_too(key: str) -> None:
    source = "{% presence key %}{% presence_count key watch=True %}"
    assert text(rendered(source, asked(ADA), key=key)) == "1"


def test_a_count_has_its_room_and_a_ticket_of_its_reader_alone(key: str) -> None:
    markup = rendered("{% presence_count key %}", asked(ADA), key=key)
    assert attributes(markup, "presence-count")[0]["room"] == room_of(key)
    assert ticket(markup)[:3] == (key, True, bound_to("7"))
    assert ticket(rendered("{% presence_count key %}", asked(), key=key)).bound == ""


def test_without_a_request_a_count_is_plain_text(key: str) -> None:
    presence.join(key, "8")
    assert rendered("{% presence_count key %}", key=key) == "1"


# Groups


def test_a_model_instance_stands_for_a_group() -> None:
    group = Group(pk=41, name="Readers")
    group._state.adding = False
    markup = rendered("{% presence_count group %}", asked(ADA), group=group)
    assert (ticket(markup).key, ticket(markup).model, ticket(markup).pk) == (
        "auth.group:41",
        "auth.group",
        "41",
    )


@pytest.mark.parametrize("group", [Group(name="New"), Group(pk=3, name="New")])
def test_an_unsaved_instance_is_refused_with_a_cure(group: Group) -> None:
    with pytest.raises(PresenceKeyError, match="unsaved auth.Group.*save it first"):
        rendered("{% presence_count group %}", asked(ADA), group=group)


@pytest.mark.parametrize("key", [None, "", 7, {}, "x" * 256])
@pytest.mark.parametrize("tag", ["presence", "presence_count", "presence_avatars", "presence_dot 7"])
def test_a_value_that_is_not_a_key_is_refused_and_the_tag_named(tag: str, key: Any) -> None:
    with pytest.raises(PresenceKeyError, match=tag.split()[0]):
        rendered(f"{{% {tag} key %}}", asked(ADA), key=key)


# Avatars


def test_avatars_are_a_list_of_the_first_and_a_number_of_the_others(key: str) -> None:
    for user, name in (("1", "Zoe"), ("2", "Abe"), ("3", "Eve")):
        presence.join(key, user, {"name": name, "color": "#123456"})
    markup = rendered("{% presence_avatars key max=2 %}", asked(ADA), key=key)
    avatars = attributes(markup, "span")
    assert avatars[0] == {"class": "presence-list", "role": "list"}
    assert avatars[1] == {
        "class": "presence-avatar",
        "role": "listitem",
        "data-id": opaque_id(key, "1"),
        "data-presence-color": "#123456",
        "title": "Zoe",
        "aria-label": "Zoe",
    }
    assert text(markup) == "ZA+2"
    assert '<span class="presence-more">+2</span></presence-avatars>' in markup
    assert attributes(markup, "presence-avatars")[0]["max"] == "2"


def test_the_reader_is_the_last_of_the_avatars(key: str) -> None:
    presence.join(key, "8", {"name": "grace"})
    markup = rendered(
        "{% presence_avatars key name='Countess' meta=meta %}", asked(ADA), key=key, meta={"color": "red"}
    )
    assert re.findall('title="(.*?)"', markup) == ["grace", "Countess"]
    assert 'data-presence-color="red"' in markup
    assert re.findall('title="(.*?)"', rendered("{% presence_avatars key %}", asked(ADA), key=key)) == [
        "grace",
        "ada",
    ]


def test_a_user_without_a_color_has_one_by_their_id_and_a_picture_is_shown(key: str) -> None:
    presence.join(key, "8", {"name": "grace", "avatar": "/g.png"})
    markup = rendered("{% presence_avatars key watch=True %}", asked(ADA), key=key)
    assert f'class="presence-avatar presence-hue-{hue(opaque_id(key, "8"))}"' in markup
    assert '<img src="/g.png" alt="">' in markup


def test_an_empty_list_is_no_list_to_a_screen_reader(key: str) -> None:
    markup = rendered("{% presence_avatars key watch=True %}", asked(ADA), key=key)
    assert '<span class="presence-list"></span></presence-avatars>' in markup


def test_a_reader_of_whom_nothing_is_known_is_a_guest_among_themselves(key: str) -> None:
    markup = rendered("{% presence_avatars key %}", asked(), key=key)
    assert re.findall('title="(.*?)"', markup) == ["Guest"]
    assert "data-id" not in markup


def test_no_private_field_and_no_user_id_is_in_the_markup(key: str) -> None:
    presence.join(key, "123456", {"name": "Zoe", "note": "psst", "_x": "psst", "user_id": 123456})
    markup = rendered("{% presence_avatars key %}{% presence_dot 123456 key %}", asked(ADA), key=key)
    assert "psst" not in markup
    assert "123456" not in markup


@pytest.mark.parametrize("most", [0, -1, "x", None])
def test_a_max_that_is_no_number_is_refused(most: Any, key: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="number above 0"):
        rendered("{% presence_avatars key max=most %}", asked(), key=key, most=most)


def test_announcements_are_asked_for(key: str) -> None:
    (element,) = attributes(
        rendered("{% presence_avatars key announce=True %}", asked(), key=key), "presence-avatars"
    )
    assert "announce" in element
    assert (element["data-joined"], element["data-left"]) == ("{} joined", "{} left")
    assert "announce" not in rendered("{% presence_avatars key %}", asked(), key=key)


def test_markup_in_a_name_a_color_a_picture_or_a_key_is_only_text(key: str) -> None:
    evil = '"><script>alert(1)</script>'
    presence.join(key + evil, "8", {"name": evil, "color": evil, "avatar": evil})
    markup = rendered(
        "{% presence_avatars key name=evil meta=meta %}{% presence_count key %}{% presence_dot evil key %}",
        asked(ADA),
        key=key + evil,
        evil=evil,
        meta={"color": evil},
    )
    assert "<script" not in markup
    assert len(re.findall("[<>]", markup)) == 2 * len(re.findall(r"<[^<>]*>", markup))
    presence.leave(key + evil, "8")


def test_nothing_needs_a_style_or_a_script_of_the_page(key: str) -> None:
    presence.join(key, "8", {"name": "grace", "color": "red"})
    source = "{% presence_avatars key announce=True %}{% presence_count key %}{% presence_dot 8 key %}{% presence key %}"
    markup = rendered(source, asked(ADA), key=key)
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script", markup)


# Dots


def test_a_dot_says_who_is_online(key: str) -> None:
    presence.join(key, GRACE)
    markup = rendered(
        "{% presence_dot grace key %}{% presence_dot 9 key %}", asked(ADA), key=key, grace=GRACE
    )
    online, offline = attributes(markup, "presence-dot")
    assert (
        online.items()
        >= {
            "room": room_of(key),
            "watch": None,
            "of": opaque_id(key, "8"),
            "role": "img",
            "aria-label": "online",
            "online": None,
            "data-online": "online",
            "data-offline": "offline",
        }.items()
    )
    assert offline["aria-label"] == "offline"
    assert "online" not in offline
    assert not ticket(markup, "presence-dot").tracks


def test_only_the_first_dot_of_a_group_has_a_ticket_but_all_that_are_public(key: str) -> None:
    source = "{% for one in people %}{% presence_dot one key public=public %}{% endfor %}"
    for public, tickets in ((False, 1), (True, 3)):
        markup = rendered(source, asked(ADA), key=key, people=[1, 2, 3], public=public)
        assert markup.count("ticket=") == tickets


@pytest.mark.parametrize("user", [None, "", User(username="new")])
def test_a_dot_of_nobody_is_not_rendered(user: Any, key: str) -> None:
    assert rendered("{% presence_dot user key %}", asked(ADA), key=key, user=user) == ""


def test_the_reader_is_online_to_themselves_where_the_page_makes_them_so(key: str) -> None:
    dot = "{% presence_dot user key %}"
    assert 'aria-label="offline"' in rendered(dot, asked(ADA), key=key, user=ADA)
    assert 'aria-label="online"' in rendered("{% presence key %}" + dot, asked(ADA), key=key, user=ADA)


def test_a_dot_does_not_take_part(key: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="only watches"):
        rendered("{% presence_dot 7 key watch=False %}", asked(ADA), key=key)


# All of them


def test_presence_shows_nothing_and_carries_the_meta(key: str) -> None:
    markup = rendered("{% presence key meta=meta %}", asked(ADA), key=key, meta={"team": "red"})
    assert "hidden" in attributes(markup, "presence-room")[0]
    found = ticket(markup, "presence-room")
    assert (found.meta, found.fields) == ('{"team":"red"}', ("team",))


def test_the_later_of_two_tickets_says_what_both_say(key: str) -> None:
    source = "{% presence key meta=one %}{% presence key meta=two %}{% presence key %}"
    markup = rendered(source, asked(ADA), key=key, one={"a": 1}, two={"b": [2]})
    tickets = [one["ticket"] for one in attributes(markup, "presence-room")]
    assert Ticket.read(tickets[1], asked(), "7").meta == '{"a":1,"b":[2]}'
    assert tickets[1] == tickets[2] != tickets[0]


@pytest.mark.parametrize("meta", [{"a": object()}, {"a": "x" * 5000}, {"a": '"' * 4000}])
def test_a_meta_that_cannot_be_kept_is_refused(meta: Any, key: str) -> None:
    with pytest.raises(ValueError, match="presence meta"):
        rendered("{% presence key meta=meta %}", asked(ADA), key=key, meta=meta)


def test_a_meta_that_is_no_dictionary_is_refused(key: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="dictionary"):
        rendered("{% presence key meta='x' %}", asked(ADA), key=key)


def test_public_tags_know_no_reader_and_give_none_a_name(key: str) -> None:
    source = "{% presence key %}{% presence_count key public=True %}{% presence_avatars key public=True %}"
    presence.join(key, GRACE, {"name": "grace"})
    ours = rendered(source, asked(ADA), key=key).partition("</presence-room>")[2]
    assert ours == rendered(source, asked(), key=key).partition("</presence-room>")[2]
    assert text(ours) == "1G"
    assert ticket(ours, user=None).bound == ""
    for extra in ("name='Ada'", "meta=meta"):
        with pytest.raises(TemplateSyntaxError, match="cannot give its reader a name"):
            rendered(f"{{% presence key public=True {extra} %}}", asked(ADA), key=key, meta={"name": "Ada"})


def test_public_tags_look_at_no_session_and_no_user(key: str) -> None:
    class Untouched:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    request = asked()
    request.user = request.session = Untouched()  # type: ignore[assignment]
    source = "{% presence_count key public=True %}{% presence_avatars key public=True %}{% presence key public=True %}"
    assert text(rendered(source + "{% presence_dot 7 key public=True %}", request, key=key)) == "1G"


def test_an_element_stays_as_it_was_rendered_as_long_as_the_page(key: str) -> None:
    request, source = asked(ADA), "{% presence_count key %}{% presence_avatars key %}{% presence_dot 8 key %}"
    before = rendered(source, request, key=key)
    presence.join(key, "8")
    assert rendered(source, request, key=key) == before
    assert text(rendered(source, asked(ADA), key=key)) == "2GA"


@pytest.mark.parametrize("tag", ["presence", "presence_avatars", "presence_dot 7"])
def test_a_tag_that_needs_the_request_says_where_it_comes_from(tag: str, key: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="django.template.context_processors.request"):
        rendered(f"{{% {tag} key %}}", key=key)


@pytest.mark.urls("tests.urls")
@pytest.mark.parametrize("tag", ["presence key", "presence_count key", "presence_script"])
def test_a_project_without_the_urls_is_told_which(tag: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r'path\("presence/", include\("djust_presence.urls"\)\)'):
        rendered(f"{{% {tag} %}}", asked(ADA), key="x")


async def test_in_the_event_loop_the_cure_is_said(key: str) -> None:
    for tag in ("presence_count key", "presence_count_many keys"):
        with pytest.raises(PresenceError, match="sync_to_async"):
            rendered(f"{{% {tag} %}}", asked(ADA), key="x", keys=["x"])


# Many


def test_many_counts_come_by_what_they_were_asked_for(key: str) -> None:
    presence.join(key, "8")
    group = Group(pk=41)
    group._state.adding = False
    source = "{% presence_count_many all as counts %}{% for one, count in counts.items %}{{ one }}={{ count }} {% endfor %}"
    assert rendered(source, None, all=[key, group, "other"], key=key) == f"{key}=1 =0 other=0 "


# The script


def script(request: Any, source: str = "{% presence_script %}") -> Any:
    (found,) = attributes(rendered(source, request), "script")
    return found


def test_the_script_knows_where_to_ask(settings: Settings) -> None:
    assert script(asked()) == {
        "type": "module",
        "src": "/static/djust_presence/client.js",
        "data-feed": "/presence/",
        "data-ticket": "/presence/ticket/",
        "data-anonymous": "browser",
        "data-guest": "Guest",
    }
    settings.DJUST_PRESENCE = {"SOCKET_PREFIX": "/ws/", "ANONYMOUS": "tab"}
    assert script(asked())["data-socket"] == "/ws/presence/"
    assert script(asked())["data-anonymous"] == "tab"


def test_under_asgi_the_script_tries_a_socket(async_rf: Any) -> None:
    request = async_rf.get("/")
    request.resolver_match = asked().resolver_match
    assert script(request)["data-socket"] == "/presence/"


def test_the_script_has_the_nonce_of_the_page_and_the_times_of_a_demo() -> None:
    request = asked()
    request.csp_nonce = "n0nce"  # type: ignore[attr-defined]
    found = attributes(rendered("{% presence_script times=times %}", request, times={"open": 1}), "script")[0]
    assert (found["nonce"], found["data-times"]) == ("n0nce", '{"open": 1}')


def test_mails_have_no_script() -> None:
    assert rendered("{% presence_script %}") == ""


def test_with_debug_a_page_without_the_script_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture, key: str
) -> None:
    def shows(source: str, **headers: str) -> list[str]:
        caplog.clear()
        request = asked(ADA, **headers)
        request.resolver_match = SimpleNamespace(view_name=f"view-{uuid4().hex}", func=None)  # type: ignore[assignment]
        rendered(source, request, key=key)
        del request
        gc.collect()
        return [one.getMessage() for one in caplog.records]

    navigated = {"Sec-Fetch-Dest": "document"}
    with override_settings(DEBUG=True):
        (line,) = shows("{% presence_count key %}", **navigated)
        assert "presence_script" in line
        assert shows("{% presence_script %}{% presence_count key %}", **navigated) == []
        assert shows("{% presence_count key %}") == []  # a fragment
    assert shows("{% presence_count key %}", **navigated) == []
