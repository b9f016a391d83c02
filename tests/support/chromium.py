"""Headless Chromium, controlled over its DevTools protocol: the subset that the page's tests need."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import tempfile
import time
from pathlib import Path

from websockets.sync.client import connect

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run --disable-dev-shm-usage --mute-audio --remote-debugging-port=0 "
    "--use-fake-ui-for-media-stream --use-fake-device-for-media-stream --autoplay-policy=no-user-gesture-required "
    "--force-color-profile=srgb --hide-scrollbars"
).split()

AXE = Path(__file__).parent / "axe" / "axe.min.js"


class Chromium:
    """A browser with one page; `microphone` is a WAV file used as its microphone, from the start of the capture."""

    def __init__(self, program: str, microphone: Path | None = None, flags: tuple[str, ...] = ()) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sed-chromium-", ignore_cleanup_errors=True)
        capture = [f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []
        self._log = open(Path(self._folder.name) / "log", "wb")  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                program,
                *FLAGS,
                *capture,
                *flags,
                f"--user-data-dir={self._folder.name}/profile",
                "about:blank",
            ],
            stdout=self._log,
            stderr=self._log,
        )
        self._numbers = 0
        self.errors: list[str] = []
        port_file = Path(self._folder.name) / "profile" / "DevToolsActivePort"
        self._wait_for(lambda: port_file.exists() and len(port_file.read_text().splitlines()) == 2, 60)
        port, path = port_file.read_text().split()
        self._stack = contextlib.ExitStack()
        self._socket = self._stack.enter_context(
            connect(f"ws://127.0.0.1:{port}{path}", max_size=None, open_timeout=30)
        )
        self._session: str | None = None
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters):
        """Run one command of the protocol and return its result; records errors of the page meanwhile."""
        self._numbers += 1
        message = {"id": self._numbers, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._numbers:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._record_error(answer)

    def _record_error(self, event) -> None:
        parameters = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])

    def evaluate(self, script: str):
        """The value of `script` (awaited if it is a promise); raises on an exception."""
        result = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def open(self, url: str, ready: str = "Boolean(globalThis.sed)") -> None:
        """Open `url` and wait until `ready` is true in the page."""
        self.call("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({url!r}) && {ready}")

    def wait(self, condition: str, seconds: float = 30.0) -> None:
        """Wait until `condition` is true in the page, which may be another one by then."""

        def met() -> bool:
            try:
                return self.evaluate(f"Boolean({condition})")
            except AssertionError as error:
                if "navigated" not in str(error):
                    raise
                return False

        self._wait_for(met, seconds, condition)

    def _wait_for(self, condition, seconds: float, what: str = "the browser") -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s for {what}; errors of the page: {self.errors}"
            assert self._process.poll() is None, Path(self._log.name).read_text(errors="replace")[-2000:]
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse."""
        position = self.evaluate(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'nearest'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        self.click_at(*position)

    def click_at(self, x: float, y: float) -> None:
        """Click at a position in the viewport."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def choose_files(self, *paths: Path, selector: str = "#file") -> None:
        """Choose files in an input element."""
        document = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key, by its name in KeyboardEvent.key."""
        codes = {
            "Tab": 9,
            "Enter": 13,
            "ArrowRight": 39,
            "ArrowLeft": 37,
            "Home": 36,
            "End": 35,
            "Escape": 27,
        }
        common = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0].upper()))}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def set_viewport(self, width: int, height: int, scale: float = 1.0, **media: bool) -> None:
        """Set the size of the viewport in CSS pixels, and the user's preferences as `set_media`."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )
        self.set_media(**media)

    def set_media(self, dark: bool = False, forced: bool = False, contrast: bool = False) -> None:
        """Set the colour scheme, forced colours (the palette of the scheme), and more contrast."""
        values = {
            "prefers-color-scheme": "dark" if dark else "light",
            "forced-colors": "active" if forced else "none",
            "prefers-contrast": "more" if contrast else "no-preference",
        }
        features = [{"name": name, "value": value} for name, value in values.items()]
        self.call("Emulation.setEmulatedMedia", features=features)

    def violations(self, options: str = "{}") -> list:
        """What axe finds wrong with the page: rules and elements."""
        self.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
        return self.evaluate(
            f"axe.run({options}).then((r) => r.violations.map((v) => [v.id, v.nodes.map((n) => n.html)]))"
        )

    def screenshot(self, path: Path, full: bool = False) -> None:
        """Save a screenshot as PNG."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full)["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """Quit the browser."""
        self._stack.close()
        self._process.terminate()
        self._process.wait(20)
        self._log.close()
        self._folder.cleanup()

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
