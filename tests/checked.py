"""The system checks of this package, without those of djust."""

from __future__ import annotations

from django.core.checks import CheckMessage, Tags, registry, run_checks

__all__ = ["presence_checks"]


def presence_checks(*, deploy: bool = False) -> list[CheckMessage]:
    """Run the checks that Django runs by default, and return the messages of this package.

    Those of djust are left out where it is installed: they read every file of the project, which takes seconds.
    """
    tags = [*registry.registry.tags_available(deploy) - {"djust", Tags.database}]
    messages = run_checks(tags=tags, include_deployment_checks=deploy)
    return [one for one in messages if one.id and one.id.startswith("djust_presence.")]
