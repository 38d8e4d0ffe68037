"""A real Chromium receives the virtual camera through the real portal; pictures are recognised by colour and number."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from rvm_live.backgrounds.color import ColorBackground
from rvm_live.compositing.composer import Composer
from rvm_live.core.frames import Composite
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sinks.base import Surroundings
from rvm_live.sinks.camera.sink import VirtualCamera
from tests.support.chromium import open_browser
from tests.support.composers import ListSink
from tests.support.engines import LeftHalfEngine
from tests.support.pipewire import open_session
from tests.support.sources import BITS, BLOCK, SIDE, PatternSource

SIZE = (640, 360)
LOOK_AT = [(120, 200), (250, 300), (300, 60), (500, 100), (600, 340)]
"""Places in the person's half and in the background's: x, y."""
SECONDS = 4
FEATURES = ("--use-fake-ui-for-media-stream", "--enable-features=WebRtcPipeWireCamera")

PAGE = """<!doctype html><video muted playsinline></video><script>
async function look(seconds) {
  const stream = await navigator.mediaDevices.getUserMedia({video: true});
  const label = stream.getVideoTracks()[0].label;
  const video = document.querySelector('video');
  video.srcObject = stream;
  await video.play();
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  canvas.canvas.width = video.videoWidth; canvas.canvas.height = video.videoHeight;
  const seen = [], began = performance.now();
  const level = (x, y) => [...canvas.getImageData(x, y, 1, 1).data].slice(0, 3);
  return await new Promise(done => {
    const take = () => {
      canvas.drawImage(video, 0, 0);
      let number = 0;
      for (let bit = 0; bit < BITS; bit++) {
        const [x, y] = [bit % SIDE * BLOCK + BLOCK / 2, Math.floor(bit / SIDE) * BLOCK + BLOCK / 2];
        if (level(x, y)[1] > 127) number |= 1 << bit;
      }
      seen.push({number, colours: PLACES.map(([x, y]) => level(x, y))});
      if (performance.now() - began > seconds * 1000) {
        stream.getTracks().forEach(track => track.stop());
        done({label, width: video.videoWidth, height: video.videoHeight, seen});
      } else video.requestVideoFrameCallback(take);
    };
    video.requestVideoFrameCallback(take);
  });
}
</script>"""


@contextmanager
def served(text: str) -> Iterator[str]:
    """A page served on this machine, which may ask for cameras; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.slow
def test_a_browser_sees_every_picture_in_its_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[int, Any] = {}

    def keep(composite: Composite) -> None:
        made[composite.seq] = [composite.image[y, x, ::-1].tolist() for x, y in LOOK_AT]

    page = PAGE.replace("PLACES", str([list(each) for each in LOOK_AT]))
    for name, value in (("BITS", BITS), ("SIDE", SIDE), ("BLOCK", BLOCK)):
        page = page.replace(name, str(value))
    with open_session() as session, served(page) as address:
        for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
            monkeypatch.setenv(name, session.env[name])
        monkeypatch.delenv("PIPEWIRE_REMOTE", raising=False)
        composer = Composer([ColorBackground("#c02060")])
        camera = VirtualCamera("pipewire", size=SIZE)
        camera.meet(Surroundings(composer.background_only))
        pipeline = Pipeline(PatternSource(*SIZE, fps=30), LeftHalfEngine(), composer, [camera, ListSink(keep)])
        pipeline.start()
        try:
            session.open_portal()
            with open_browser(*FEATURES) as browser:
                told = browser.page(address).evaluate(f"look({SECONDS})")
        finally:
            pipeline.stop()
            pipeline.join(30)
    assert (told["label"], told["width"], told["height"]) == ("rvm-live", *SIZE)
    numbers = [each["number"] for each in told["seen"]]
    assert numbers == sorted(numbers), "never one of before"
    assert len({*numbers}) > 8 * SECONDS
    known = [each for each in told["seen"] if each["number"] in made]
    assert len(known) > 0.9 * len(told["seen"])
    for each in known:
        wrong = np.abs(np.subtract(each["colours"], made[each["number"]], dtype=int)).max()
        assert wrong <= 8, (each, made[each["number"]])
