"""The guide to moving from djust's presence: its test of a page is run in a project as it assumes one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.markdown import write_files
from tests.servers import ROOT

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "djust", "djust_presence", "pages"
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "TEST": {"NAME": "test.sqlite3"}}}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
ROOT_URLCONF = "mysite.urls"
ASGI_APPLICATION = "mysite.asgi.application"
LIVEVIEW_ALLOWED_MODULES = ["pages"]
"""
ASGI = """
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

http = get_asgi_application()

from django.urls import path
from djust.websocket import LiveViewConsumer

sockets = URLRouter([path("ws/live/", LiveViewConsumer.as_asgi())])
application = ProtocolTypeRouter(
    {"http": http, "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(sockets))}
)
"""
URLS = """
from django.urls import path
from pages.views import DocumentView

urlpatterns = [path("document/<int:doc_id>/", DocumentView.as_view())]
"""
VIEWS = """
from djust import LiveView
from djust_presence import PresenceMixin


class DocumentView(PresenceMixin, LiveView):
    login_required = False
    template_name = "document.html"
    presence_key = "document:{doc_id}"

    def mount(self, request, **kwargs):
        self.track_presence()
"""
DOCUMENT = "<!doctype html><html><body><div dj-root><p>{{ online_count }} online</p></div></body></html>"


def test_the_guides_test_passes(tmp_path: Path) -> None:
    files = {
        "mysite/__init__.py": "",
        "mysite/settings.py": SETTINGS,
        "mysite/asgi.py": ASGI,
        "mysite/urls.py": URLS,
        "pages/__init__.py": "",
        "pages/views.py": VIEWS,
        "pages/templates/document.html": DOCUMENT,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    write_files("docs/how-to/move-from-djust.md", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "django", "test"],
        cwd=tmp_path,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not done.returncode, done.stdout + done.stderr
    assert "Ran 1 test" in done.stderr
