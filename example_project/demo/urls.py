"""The example's pages."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "demo"

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("counter/", views.DemoView.as_view(), name="counter"),
    path("document/<slug:doc_id>/", views.DocumentView.as_view(), name="document"),
    path("chat/<slug:room_id>/", views.ChatView.as_view(), name="chat"),
    path("whiteboard/<slug:board_id>/", views.WhiteboardView.as_view(), name="whiteboard"),
    path("any/", views.any_page, name="any"),
    path("private/", views.PrivateView.as_view(), name="private"),
    path("as/<str:username>/", views.become, name="become"),
]
