"""The addresses of the pages."""

from __future__ import annotations

from django.urls import include, path

from ..visitors import begin
from .pages import Board, Counter, List, ListOfMine

urlpatterns = [
    path("presence/", include("djust_presence.urls")),
    path("counter/<group>/", Counter.as_view()),
    path("session/", begin),
    path("board/<group>/", Board.as_view()),
    path("list/<group>/", List.as_view()),
    path("mine/<group>/", ListOfMine.as_view()),
]
