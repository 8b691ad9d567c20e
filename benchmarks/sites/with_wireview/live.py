"""A component that announces itself and keeps a list of the others, which is how wireview has presence."""

from __future__ import annotations

from wireview import Component, PresenceMixin, PresenceTrackerMixin


class XCounter(PresenceTrackerMixin, PresenceMixin, Component):  # type: ignore[misc]
    class Meta:
        template_name = "with_wireview/part.html"

    group: str
    who: str

    def _presence_topic(self) -> str:
        return self.group

    def _presence_user_id(self) -> str:
        return self.who

    _presence_my_user_id = _presence_user_id
    _presence_username = _presence_user_id

    def get_subscriptions(self) -> set[str]:
        return {*super().get_subscriptions(), self._presence_channel()}

    @property
    def label(self) -> str:
        return f"{self.presence_online_count} online"

    async def joined(self) -> None:
        await self.presence_track_self(username=self.who)
        await self.presence_join()

    async def leaving(self) -> None:
        await self.presence_leave()

    async def nothing(self) -> None:
        pass
