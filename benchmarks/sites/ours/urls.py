"""Where the pages are."""

from __future__ import annotations

from django.urls import include, path

from .pages import Counter, List, ListOfMine, Tabs

urlpatterns = [
    path("presence/", include("djust_presence.urls")),
    path("counter/<group>/", Counter.as_view()),
    path("tabs/<group>/", Tabs.as_view()),
    path("list/<group>/", List.as_view()),
    path("mine/<group>/", ListOfMine.as_view()),
]
