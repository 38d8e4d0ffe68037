"""Makes the picture of docs/camera.md: the program on its demo is a camera, and Chromium shows it on a page.

RVM_LIVE_WEIGHTS=path/to/weights python docs/make_camera_picture.py
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.sinks.test_camera_in_chromium import FEATURES, served  # noqa: E402
from tests.support.chromium import open_browser  # noqa: E402
from tests.support.pipewire import open_session  # noqa: E402
from tests.support.program import finish, start  # noqa: E402
from tests.support.waiting import until  # noqa: E402

PAGE = """<!doctype html><meta charset=utf-8><title>A call</title><style>
body { margin: 0; background: #20242a; color: #e8eaed; font: 18px sans-serif; padding: 24px }
video { width: 912px; border-radius: 12px; display: block; margin-bottom: 16px }
</style><video autoplay muted playsinline></video><div></div><script>
navigator.mediaDevices.getUserMedia({video: {width: 1280, height: 720}}).then(async stream => {
  const video = document.querySelector('video'), track = stream.getVideoTracks()[0];
  video.srcObject = stream;
  await video.play();
  const {width, height} = track.getSettings();
  document.querySelector('div').textContent =
    `${track.label}, ${width} × ${height}: what a page gets from navigator.mediaDevices.getUserMedia`;
  let left = 240;
  const count = () => { if (--left) video.requestVideoFrameCallback(count); else document.title = 'ready'; };
  video.requestVideoFrameCallback(count);
});
</script>"""  # noqa: RUF001 - the sign of sizes


def main() -> None:
    background = str(ROOT / "assets/backgrounds/mountains.jpg")
    with open_session() as session, served(PAGE) as address:
        names = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
        os.environ.update({name: session.env[name] for name in names})
        options = ["--source", "demo", "--fps", "30", "--headless", "--virtual-camera=pipewire", "--always"]
        with start(*options, "--background", background, env=dict(os.environ)) as process:
            until(lambda: "Video/Source" in session.dump())
            session.open_portal()
            with open_browser(*FEATURES) as browser:
                page = browser.page(width=960, height=620)
                page.go(address)
                page.wait("document.title === 'ready'", 120)
                picture = page.screenshot()
            process.terminate()
            finish(process)
    cv2.imwrite(str(ROOT / "docs/images/camera-chromium.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
