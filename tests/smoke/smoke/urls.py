from __future__ import annotations

from django.urls import include, path

from .views import DocumentView, page

urlpatterns = [
    path("", page),
    path("document/<int:doc_id>/", DocumentView.as_view()),
    path("presence/", include("djust_presence.urls")),
]
