"""The URLs of the tests of the built-in host."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.urls import path

from . import views

urlpatterns = [
    path("counter/", views.Counter.as_view(), name="counter"),
    path("counter/<int:start>/", views.Counter.as_view(extra_context={"title": "Counting"})),
    path("async/", views.AsyncCounter.as_view()),
    path("regions/", views.RegionCounter.as_view()),
    path("optional/", views.Optional.as_view()),
    path("child/", views.Counter.as_view(template_name="live/child.html")),
    path("nested/", views.Counter.as_view(template_name="live/nested.html")),
    path("included/", views.Counter.as_view(template_name="live/included.html")),
    path("board/", views.Counter.as_view(template_name="live/board.html")),
    path("form/", views.Form.as_view()),
    path("slow/", views.Slow.as_view()),
    path("here/", views.Here.as_view()),
    path("here-after/", views.HereAfter.as_view()),
    path("here-slow/", views.HereSlow.as_view()),
    path("ambient/", views.Ambient.as_view(), name="ambient"),
    path("members/", views.Members.as_view()),
    path("decorated/", login_required(views.Counter.as_view())),
    path("answers/<str:what>/", views.Answers.as_view()),
    path("async-context/", views.AsyncContext.as_view()),
    path("redirecting/", views.Redirecting.as_view()),
    path("user/", views.User.as_view()),
    path("plain/", views.plain),
    path("crowd/", views.Crowd.as_view()),
]
