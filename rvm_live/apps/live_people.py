"""Which people and things stay in a live picture, and their controls."""

from __future__ import annotations

from collections.abc import Callable

from rvm_live.core.controls import Control, attribute, one_of, switch
from rvm_live.core.errors import SettingsError
from rvm_live.core.notices import Notices
from rvm_live.core.only_me import PEOPLE, OnlyMe, parse_person
from rvm_live.core.settings import LiveSettings
from rvm_live.core.things import CHAIR, Things
from rvm_live.engines.base import Engine
from rvm_live.engines.only_me.engine import OnlyMeEngine
from rvm_live.engines.things import rooms
from rvm_live.engines.things.engine import ThingsEngine

__all__ = ["People"]


class People:
    """The user's choice of people and things.

    Args:
        settings: what it is at first.
        label: of the camera in use; empty while that is not known.
    """

    def __init__(self, settings: LiveSettings, label: Callable[[], str]) -> None:
        self._only_me = OnlyMe(settings.only_me, settings.person)
        self._things = Things(settings.chair, settings.source.mirror)
        self._label = label

    def engine(self, inner: Engine, notices: Notices) -> Engine:
        """An engine that applies this choice to its mattes."""
        return ThingsEngine(OnlyMeEngine(inner, self._only_me), self._things, self._label, notices)

    def controls(self) -> list[Control]:
        person, chair = attribute(self._only_me, "person"), attribute(self._things, "chair")
        who, what = "the person to keep: largest, left, right, or a place", "keep or drop things of the room"
        return [
            switch("only_me", *attribute(self._only_me, "on"), "if there are several people, keep only one"),
            Control("person", *person, check=parse_person, choices=lambda: PEOPLE, text=who),
            Control("chair", *chair, check=self._chair, choices=lambda: CHAIR, text=what),
        ]

    def _chair(self, wish: object) -> str:
        chair, label = one_of("chair", lambda: CHAIR)(wish), self._label()
        if chair == "keep" and label and ((room := rooms.load(label)) is None or room.things is None):
            raise SettingsError(
                f"there are no pictures of the room from {label}: take them with `rvm-live room --record`"
            )
        return chair
