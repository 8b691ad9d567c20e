"""The example project with a room whose people name themselves, and receivers that write down every signal."""

from __future__ import annotations

import json
import os
from typing import Any

from django.apps import AppConfig
from django.http import HttpRequest
from django.template import engines
from django.urls import path

from djust_presence import LiveView, PresenceMixin
from djust_presence.signals import presence_joined, presence_left, presence_updated
from tests.site_settings import *  # noqa: F403
from tests.site_settings import INSTALLED_APPS as USUAL

ROOT_URLCONF = __name__


class Receivers(AppConfig):
    name = "tests.cluster"
    label = "signal_receivers"

    def ready(self) -> None:
        for what, signal in dict(
            joined=presence_joined, left=presence_left, updated=presence_updated
        ).items():
            signal.connect(write_down(what), weak=False)


INSTALLED_APPS = [*USUAL, f"{__name__}.Receivers"]


def write_down(what: str) -> Any:
    def receive(key: str, presence: dict[str, Any], **kwargs: Any) -> None:
        line = json.dumps([what, os.getpid(), key, presence]) + "\n"
        file = os.open(os.environ["SIGNALS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())  # at once, so that lines of several processes do not mix
        os.close(file)

    return receive


class Room(PresenceMixin, LiveView):
    presence_key = "room:{room_id}"
    room_id = ""

    def get_presence_user_id(self) -> str:
        return self.request.GET["user"]

    def mount(self, request: HttpRequest, room_id: str) -> None:
        self.room_id = room_id
        self.track_presence(meta={"name": f"The {request.GET['user']}"})

    def get_template_names(self) -> Any:
        return engines["django"].from_string("{{ online_count }} online")


urlpatterns = [path("room/<room_id>/", Room.as_view())]
