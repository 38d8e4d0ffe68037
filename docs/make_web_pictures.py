"""Makes the pictures of ``web.md``: run ``python docs/make_web_pictures.py`` in a checkout, with Chromium installed.

They show the demo's person, an astronaut in the public domain, over backgrounds of this project.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.chromium import Page, open_browser  # noqa: E402

IMAGES = ROOT / "docs" / "images"
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 82]
SETTLING_S = 45


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "RVM_LIVE_CACHE": folder, "RVM_LIVE_NO_CONFIG": "1"}
        command = [sys.executable, "-m", "rvm_live", "demo", "--headless", "--web=127.0.0.1:0", "--fps", "30",
                   "--engine", "lite"]  # fmt: skip
        with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as program:
            assert program.stderr is not None
            address = next(line.split()[-1] for line in program.stderr if "/#" in line)
            with open_browser() as browser:
                page = browser.page(address, 1440, 900)
                page.wait("window.live?.pictures > 5 && document.querySelectorAll('.tile img').length > 3", 120)
                page.click('.tile[data-name="mountains"]')
                time.sleep(SETTLING_S)  # until the plots have something to show
                kept(page, "web.jpg")
                page.media(prefers_color_scheme="dark")
                page.click('.tile[data-name="aurora"]')
                kept(page, "web-dark.jpg")
                page.media(prefers_color_scheme="light")
                page.click('.tile[data-name="ribbons"]')
                page.size(360, 760, scale=2, mobile=True)
                kept(page, "web-phone.jpg")
                complaints = browser.complaints()
            program.terminate()
        assert not complaints, complaints


def kept(page: Page, name: str) -> None:
    page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    time.sleep(3)
    cv2.imwrite(str(IMAGES / name), page.screenshot(), QUALITY)


if __name__ == "__main__":
    main()
