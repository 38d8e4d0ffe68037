"""Probing cameras and the machine: settings in, a report out; nothing is printed here.

Importing this loads neither cv2 nor torch.

May import what :mod:`rvm_live.apps` may.

>>> from rvm_live.apps.hwtest import HwTestSettings, run
>>> report = run(HwTestSettings(quick=True))  # doctest: +SKIP
"""

from __future__ import annotations

from rvm_live.apps.hwtest.report import HwTestReport
from rvm_live.apps.hwtest.run import HwTestSettings, run

__all__ = ["HwTestReport", "HwTestSettings", "run"]
