"""A headless Chromium over the DevTools protocol: as much of it as looking at a page takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, final

from websockets.sync.client import ClientConnection, connect

__all__ = ["Page", "browser", "program"]

_SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-port=0",
)  # fmt: skip


def program() -> str | None:
    """The browser of this machine, if it has one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """An open, empty page; ``folder`` becomes the browser's profile."""
    command = [program() or "chromium", *_SWITCHES, f"--user-data-dir={folder}", "about:blank"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            with connect(_address(folder), max_size=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()


def _address(folder: Path) -> str:
    """Where the browser listens, which it writes down when it does."""
    file = folder / "DevToolsActivePort"
    for _ in range(300):
        if file.exists() and len(lines := file.read_text(encoding="utf-8").split()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.1)
    raise TimeoutError("the browser did not start within 30 s")


@final
class Page:
    """A page, what it complained of and what it asked the network for."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self._session: dict[str, str] = {}
        self._loaded = False
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, /, **parameters: object) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **self._session}
        self._connection.send(json.dumps(message))
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        """The next message, with what it tells in passing taken down."""
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=30))
        method, told = message.get("method", ""), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method in {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}:
            self.complaints.append(json.dumps(told))
        elif method == "Page.loadEventFired":
            self._loaded = True
        return message

    def open(self, file: Path, width: int = 1280, height: int = 800, scheme: str = "light") -> None:
        """Load a file into a window of that size, and forget what other pages did."""
        self.complaints, self.requests, self._loaded = [], [], False
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=file.as_uri())
        while not self._loaded:
            self._next()

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key, as a keyboard sends it."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def middle(self, selector: str) -> tuple[float, float]:
        """Where the middle of an element is."""
        x, y = self.ask(
            f"(b => [b.x + b.width / 2, b.y + b.height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        return x, y

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """One event of the mouse."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def hover(self, selector: str) -> None:
        """The mouse over the middle of an element."""
        self.mouse("mouseMoved", *self.middle(selector))

    def click(self, selector: str) -> None:
        """A click on the middle of an element."""
        x, y = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def text(self, selector: str) -> str:
        """The text of an element, as it is seen."""
        return str(self.ask(f"document.querySelector({json.dumps(selector)}).innerText"))

    def picture(self, file: Path) -> None:
        """What the page looks like, as PNG."""
        file.write_bytes(b64decode(self.call("Page.captureScreenshot")["data"]))
