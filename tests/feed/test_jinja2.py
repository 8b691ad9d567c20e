from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ImproperlyConfigured
from django.template.backends.jinja2 import Jinja2

from djust_presence import presence
from tests.feed.site import ADA, asked, attributes, rendered

pytestmark = pytest.mark.urls("tests.feed.site")

WAYS: list[dict[str, Any]] = [
    {"environment": "djust_presence.jinja2.environment"},
    {"extensions": ["djust_presence.jinja2.PresenceExtension"]},
]


@pytest.fixture(params=WAYS, ids=lambda way: next(iter(way)))
def engine(request: pytest.FixtureRequest) -> Jinja2:
    return Jinja2({"NAME": "jinja2", "DIRS": [], "APP_DIRS": False, "OPTIONS": request.param})


def test_a_function_makes_what_its_tag_makes(engine: Jinja2) -> None:
    key, evil = f"jinja2:{uuid4().hex}", "<b>"
    presence.join(key, "8", {"name": evil})
    group = Group(pk=41)
    group._state.adding = False
    context: dict[str, Any] = {"key": key, "group": group, "meta": {"team": "red"}}
    pairs = [
        ("{% presence_count key watch=True %}", "{{ presence_count(key, watch=True) }}"),
        ("{% presence_avatars key max=1 %}", "{{ presence_avatars(key, max=1) }}"),
        ("{% presence_dot 8 key %}", "{{ presence_dot(8, key) }}"),
        ("{% presence group meta=meta %}", "{{ presence(group, meta=meta) }}"),
        ("{% presence_script %}", "{{ presence_script() }}"),
    ]
    of_django = rendered("".join(tag for tag, _ in pairs), asked(ADA), **context)
    template = engine.from_string("".join(function for _, function in pairs))
    of_jinja2 = template.render(context, asked(ADA))
    assert of_jinja2 == of_django
    assert "&lt;b&gt;" in of_jinja2
    assert len(attributes(of_jinja2, "presence-dot")) == 1
    presence.leave(key, "8")


def test_many_counts_are_looked_up_by_their_objects(engine: Jinja2) -> None:
    template = engine.from_string("{% set counts = presence_count_many(all) %}{{ counts[all[0]] }}")
    assert template.render({"all": ["jinja2:many"]}) == "0"


def test_without_a_request_a_count_is_text_and_others_say_what_they_need(engine: Jinja2) -> None:
    assert engine.from_string("{{ presence_count('jinja2:none') }}").render({}) == "0"
    with pytest.raises(ImproperlyConfigured, match="needs the request"):
        engine.from_string("{{ presence_avatars('jinja2:none') }}").render({})
