"""The views of the presence guide, as they stand there but for their imports."""

from __future__ import annotations

from django.urls import path

from djust_presence import LiveView, PresenceMixin


class DemoView(PresenceMixin, LiveView):
    template_name = "demo.html"
    presence_key = "demo"
    # For anonymous-tab demos where two browser tabs of one user should
    # count as two presences (not collapse to one), opt in below:
    # presence_unique_per_connection = True

    def mount(self, request, **kwargs):  # type: ignore[no-untyped-def]
        self.track_presence()


class EachTabView(DemoView):
    presence_unique_per_connection = True  # anonymous tabs count distinctly


class DocumentView(PresenceMixin, LiveView):
    template_name = "document.html"
    presence_key = "document:{doc_id}"

    def mount(self, request, **kwargs):  # type: ignore[no-untyped-def]
        self.doc_id = kwargs.get("doc_id")
        self.track_presence(
            meta={
                "name": request.user.username,
                "color": "#6c63ff",
            }
        )

    def get_context_data(self, **kwargs):  # type: ignore[no-untyped-def]
        ctx = super().get_context_data(**kwargs)
        ctx["presences"] = self.list_presences()
        # `online_count` is already on `self` (v1.0.0rc12+); the
        # imperative `presence_count()` method is still available too.
        return ctx

    def handle_presence_join(self, presence):  # type: ignore[no-untyped-def]
        self.push_event("flash", {"message": f"{presence['name']} joined"})

    def handle_presence_leave(self, presence):  # type: ignore[no-untyped-def]
        self.push_event("flash", {"message": f"{presence['name']} left"})


class ChatView(PresenceMixin, LiveView):
    template_name = "chat.html"
    presence_key = "chat:{room_id}"

    def mount(self, request, **kwargs):  # type: ignore[no-untyped-def]
        self.room_id = kwargs.get("room_id")
        self.track_presence(
            meta={
                "name": request.user.username,
                "avatar": request.user.profile.avatar_url,
            }
        )

    def get_context_data(self, **kwargs):  # type: ignore[no-untyped-def]
        ctx = super().get_context_data(**kwargs)
        ctx["online_users"] = self.list_presences()
        ctx["online_count"] = self.presence_count()
        return ctx


urlpatterns = [
    path("demo/", DemoView.as_view()),
    path("each-tab/", EachTabView.as_view()),
    path("document/<int:doc_id>/", DocumentView.as_view()),
    path("chat/<slug:room_id>/", ChatView.as_view()),
]
