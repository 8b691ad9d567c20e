"""Answers of AUTHORIZE and of a site's objects, for tests."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest

__all__ = ["Answers", "amay_join", "may_join"]


class Answers:
    """The answer to each key, and a record of the questions."""

    by_key: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[tuple[str, str]]] = []  # key, and user name

    @classmethod
    def to(cls, request: HttpRequest, key: str) -> Any:
        cls.asked.append((key, str(request.user)))
        answer = cls.by_key.get(key, True)
        if isinstance(answer, Exception):
            raise answer
        return answer


def may_join(request: HttpRequest, key: str) -> Any:
    return Answers.to(request, key)


async def amay_join(request: HttpRequest, key: str) -> Any:
    return Answers.to(request, key)
