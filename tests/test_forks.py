from __future__ import annotations

import subprocess
import sys

WITHOUT_FORKS = """
import os, sys
import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"])
django.setup()
import channels.layers, redis.asyncio

del os.register_at_fork
sys.platform = "win32"
import djust_presence, djust_presence.backends.redis, djust_presence.live, djust_presence.testing
"""


def test_the_package_can_be_imported_where_there_are_no_forks() -> None:
    result = subprocess.run([sys.executable, "-c", WITHOUT_FORKS], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
