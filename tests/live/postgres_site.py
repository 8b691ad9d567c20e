"""A site of one page that asks its database at every turn: DATABASE is a JSON object, as in DATABASES."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any, ClassVar

from django.urls import path
from example_project.settings import *  # noqa: F403

from djust_presence import LiveView, PresenceMixin, event_handler

ROOT_URLCONF = __name__
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **json.loads(os.environ["DATABASE"])}}
DJUST_PRESENCE = {"REFRESH_INTERVAL": 1}  # a test waits for all pages, and each asks the database
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {
                        "people.html": "{{ online_count }} online, {{ people }}",
                        "tasks.html": "{{ view.done }} done",
                    },
                )
            ]
        },
    },
]


def people() -> Any:
    from django.contrib.auth.models import User

    return User.objects


class People(PresenceMixin, LiveView):
    template_name = "people.html"
    presence_key = "people"
    presence_unique_per_connection = True

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.track_presence()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        names = people().order_by("username").values_list("username", flat=True)
        return super().get_context_data(people=" ".join(names))

    @event_handler()
    def sign_up(self, name: str) -> None:
        people().create(username=name)

    @event_handler()
    async def asign_up(self, name: str) -> None:
        await people().acreate(username=name)

    @event_handler()
    def sign_up_and_fail(self, name: str) -> None:
        people().create(username=name)
        raise RuntimeError("after the row was written")


class Tasks(LiveView):
    """Each starts a task when it is mounted that asks the database when the mount is long over."""

    template_name = "tasks.html"
    started: ClassVar[set[asyncio.Task[None]]] = set()
    done: ClassVar[int] = 0

    async def mount(self, request: Any, **kwargs: Any) -> None:
        self.started.add(asyncio.create_task(self.ask()))

    async def ask(self) -> None:
        await asyncio.sleep(0.5)
        await people().acount()
        Tasks.done += 1

    @event_handler()
    async def wait(self) -> None:
        await asyncio.gather(*self.started)


urlpatterns = [path("people/", People.as_view()), path("tasks/", Tasks.as_view())]
