"""A desktop that says yes whenever a program asks for a camera: the back end of xdg-desktop-portal, for tests.

It runs with the system's Python, which has python3-dbus and python3-gi.
"""

from __future__ import annotations

import dbus  # type: ignore[import-not-found]
import dbus.service  # type: ignore[import-not-found]
from dbus.mainloop.glib import DBusGMainLoop  # type: ignore[import-not-found]
from gi.repository import GLib  # type: ignore[import-not-found]

NAME = "org.freedesktop.impl.portal.desktop.rvmtest"
LOCKDOWN = (
    *("disable-printing", "disable-save-to-disk", "disable-application-handlers", "disable-location"),
    *("disable-camera", "disable-microphone", "disable-sound-output"),
)


class Desktop(dbus.service.Object):
    """Nothing is locked down, and everything may be used."""

    @dbus.service.method("org.freedesktop.impl.portal.Access", in_signature="osssssa{sv}", out_signature="ua{sv}")
    def AccessDialog(self, handle, app, parent, title, subtitle, body, options):
        return dbus.UInt32(0), dbus.Dictionary({}, signature="sv")

    @dbus.service.method("org.freedesktop.DBus.Properties", in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        known = LOCKDOWN if "Lockdown" in interface else ()
        return dbus.Dictionary({each: dbus.Boolean(False) for each in known}, signature="sv")


def main() -> None:
    DBusGMainLoop(set_as_default=True)
    bus = dbus.SessionBus()
    name = dbus.service.BusName(NAME, bus)
    Desktop(bus, "/org/freedesktop/portal/desktop")
    GLib.MainLoop().run()
    del name


if __name__ == "__main__":
    main()
