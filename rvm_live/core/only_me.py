"""Which of several people stays in the picture, as the user asked."""

from __future__ import annotations

from rvm_live.core.errors import SettingsError

__all__ = ["PEOPLE", "OnlyMe", "parse_person"]

PEOPLE = ("largest", "left", "right")
"""Who can be named by a word."""


class OnlyMe:
    """The user's request; may be changed from any thread, and takes effect with the next frame.

    Args:
        on: one person alone stays in the picture.
        person: as :func:`parse_person` takes it.

    Attributes:
        on: as above; may be set.
        asked: the person, and how often it was set: setting it again makes the choice anew.

    Raises:
        SettingsError: there is no such person.
    """

    def __init__(self, on: bool = False, person: str = PEOPLE[0]) -> None:
        self.on = on
        self.asked = (parse_person(person), 0)

    @property
    def person(self) -> str:
        return self.asked[0]

    @person.setter
    def person(self, person: str) -> None:
        self.asked = (parse_person(person), self.asked[1] + 1)


def parse_person(wish: object) -> str:
    """Check ``largest``, ``left``, ``right``, or a place in the frame where the person is, ``0.3,0.5``, in parts of its
    width and height from the upper left.

    Raises:
        SettingsError: it is something else.
    """
    words = str(wish).strip().lower()
    if words in PEOPLE:
        return words
    try:
        x, y = (float(each) for each in words.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise SettingsError(
            f"person must be {', '.join(PEOPLE)}, or a place in the picture such as 0.3,0.5 (from the left and "
            "the top, "
            f"0 to 1), not {wish!r}"
        )
    return f"{x:.3g},{y:.3g}"
