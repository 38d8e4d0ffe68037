"""RVM's weights, fetched while the picture goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rvm_live import weights
from rvm_live.core.errors import NoNetworkError, RvmLiveError, SettingsError
from rvm_live.core.settings import MODELS, EngineSettings
from rvm_live.engines.choice import NO_NETWORK
from rvm_live.weights import consent

__all__ = ["WeightsFetch"]


class WeightsFetch:
    """Fetches the weights of RVM's default network once it is asked to, on a thread of its own, ``rvm-fetching``.

    Asking for it is the consent; it is stored like the answer to the question at the start.

    Args:
        settings: of the run; ``offline`` forbids it.
        ready: called on that thread once they are there.
        told: told, on that thread, why they could not be fetched.

    Attributes:
        state: how far it is, for people; empty while nothing is fetched.
    """

    def __init__(self, settings: EngineSettings, ready: Callable[[], None], told: Callable[[str], None]) -> None:
        self.state = ""
        self._settings, self._ready, self._told = settings, ready, told
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Begin; where they are here already, use them at once.

        Returns:
            What happens now, for people.

        Raises:
            SettingsError: nothing may be fetched.
        """
        if self._thread is not None and self._thread.is_alive():
            return self.state
        if weights.locate(self._settings) is not None:
            self._ready()
            return "RVM is ready and used from now on"
        if self._settings.offline:
            raise SettingsError("downloads are switched off: start rvm-live without --offline")
        self.state = "fetching RVM"
        self._thread = threading.Thread(target=self._run, name="rvm-fetching", daemon=True)
        self._thread.start()
        return f"fetching RVM: {weights.KNOWN[MODELS[0]].terms}"

    def _run(self) -> None:
        try:
            weights.resolve(EngineSettings(), progress=self._progress)
            consent.remember(True)
            self._ready()
        except NoNetworkError:
            self._told(NO_NETWORK)
        except RvmLiveError as error:
            self._told(f"RVM's weights could not be fetched: {error}; press w to try again")
        finally:
            self.state = ""

    def _progress(self, done: int, total: int | None) -> None:
        of = f" of {total / 1e6:.0f}" if total else ""
        self.state = f"fetching RVM: {done / 1e6:.0f}{of} MB"
