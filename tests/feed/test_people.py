from __future__ import annotations

import json

from pytest_django import Settings

from djust_presence.feed.people import people, person, public_fields
from djust_presence.keys import opaque_id
from djust_presence.state.records import Member

META = {"name": "Ada", "user_id": 7, "_note": 1, "secret": 2, "color": "red", "id": 9, "joined_at": 1}
ADA = Member(2, 5.0, json.dumps(META))


def test_browsers_see_what_is_public_and_an_id_that_tells_nothing() -> None:
    assert person("site", "7", ADA, public_fields()) == {
        "id": opaque_id("site", "7"),
        "joined_at": 5.0,
        "name": "Ada",
        "color": "red",
    }


def test_a_page_may_name_more_but_nothing_private() -> None:
    more = public_fields(["secret", "_note", "user_id", "id", "joined_at"])
    shown = person("site", "7", ADA, more)
    assert shown == {**person("site", "7", ADA, public_fields()), "secret": 2}


def test_a_project_may_show_less(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"PUBLIC_META": ["_note", "user_id"]}
    assert person("site", "7", ADA, public_fields()) == {"id": opaque_id("site", "7"), "joined_at": 5.0}


def test_a_user_without_a_name_gets_none() -> None:
    assert "name" not in person("site", "x", Member(1, 1.0, '{"name":null}'), public_fields())


def test_people_come_oldest_first() -> None:
    members = {"b": Member(1, 2.0, "{}"), "c": Member(1, 1.0, "{}"), "a": Member(1, 2.0, "{}")}
    ids = [one["id"] for one in people("site", members, public_fields())]
    assert ids == [opaque_id("site", user) for user in ("c", "a", "b")]
