"""Records are made for callbacks that a view has, and for no others."""

from __future__ import annotations

from functools import wraps
from typing import Any

import pytest
from django.test import RequestFactory
from django.views.generic import View

from djust_presence.mixins import PresenceMixin, presence_of
from djust_presence.state.records import Member, Step, record
from djust_presence.tracker import Refresh
from tests.profiling import calls_of

ANN, RENAMED = Member(1, 1.0, '{"name":"Ann"}'), Member(1, 1.0, '{"name":"Anna"}')
NEWS = Refresh([Step("7", None, ANN), Step("7", ANN, RENAMED), Step("7", RENAMED, None)])


class Plain(PresenceMixin, View):
    presence_key = "room"


class Wrapped(Plain):
    told: list[Any]

    @wraps(PresenceMixin.handle_presence_join)
    def handle_presence_join(self, presence: Any) -> None:  # type: ignore[override]
        self.told.append(presence["name"])


class Lists(Plain):
    told: list[Any]

    def _on_presence_change(self, **kwargs: Any) -> None:
        super()._on_presence_change(**kwargs)
        self.told += [one["name"] for kind in ("joins", "updates", "leaves") for one in kwargs[kind]]


@pytest.mark.parametrize(
    ("view_class", "records", "told"),
    [(Plain, 0, []), (Wrapped, 1, ["Ann"]), (Lists, 3, ["Ann", "Anna", "Anna"])],
)
def test_records_are_made_for_callbacks_that_a_view_has(
    view_class: type[Plain], records: int, told: list[str]
) -> None:
    view: Any = view_class()
    view.setup(RequestFactory().get("/"))
    view.told = []
    presence = presence_of(view)
    assert presence
    with calls_of(record, "user") as made:
        presence.take_in(NEWS)
    assert len(made) == records
    assert view.told == told


def test_a_callback_may_be_set_on_one_view() -> None:
    view: Any = Plain()
    view.setup(RequestFactory().get("/"))
    told: list[str] = []
    view.handle_presence_leave = lambda presence: told.append(presence["name"])
    presence = presence_of(view)
    assert presence
    presence.take_in(NEWS)
    assert told == ["Anna"]
