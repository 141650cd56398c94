"""Headless Chromium, controlled through the DevTools protocol."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

WIDTH = 1280
"""Width of the window in pixels."""


def chromium() -> str:
    """Path of the Chromium executable."""
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        sys.exit("Chromium is not installed: apt-get install chromium fonts-dejavu-core, or set $CHROMIUM to its path")
    return found


class Browser:
    """Headless Chromium, controlled through its debugging pipe."""

    def __init__(self, profile: str):
        commands_in, self.commands = os.pipe()
        self.answers, answers_out = os.pipe()
        words = [chromium(), "--headless=new", "--no-sandbox", "--hide-scrollbars", "--remote-debugging-pipe"]
        words += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{commands_in} 4>&{answers_out}', "sh", *words],
            pass_fds=(commands_in, answers_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands_in)
        os.close(answers_out)
        self.number, self.unread = 0, b""
        self.events: list[dict[str, Any]] = []
        """What the page reported since it was opened, of the domains that are enabled."""
        pages = self.call("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    session: str | None = None

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol, and wait for its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.unread:
                received = os.read(self.answers, 1 << 20)
                if not received:
                    sys.exit("Chromium ended")
                self.unread += received
            answer, _, self.unread = self.unread.partition(b"\0")
            result = json.loads(answer)
            if result.get("id") == self.number:
                if "error" in result:
                    sys.exit(f"{method}: {result['error']['message']}")
                return result["result"]
            if "method" in result:
                self.events.append(result)

    def evaluate(self, script: str) -> Any:
        """Run a script in the page, and return its value."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def open(self, address: str, height: int, width: int = WIDTH) -> None:
        """Open an address in a window of the given size (pixels)."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url="about:blank")  # another part of the same page would not be loaded again
        self.events.clear()
        self.call("Page.navigate", url=address)

    def wait(self, script: str) -> None:
        """Wait until a script is true in the page, and then 8 seconds for drawing to finish."""
        if not self.becomes(script):
            sys.exit(f"the page was not ready within two minutes: {script}")
        time.sleep(8)

    def becomes(self, script: str) -> bool:
        """Whether a script becomes true in the page within two minutes."""
        for _ in range(240):
            if self.evaluate(script):
                return True
            time.sleep(0.5)
        return False

    def errors(self) -> list[str]:
        """Errors of scripts and of loading since the page was opened."""
        found = []
        for event in self.events:
            said = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                details = said["exceptionDetails"]
                found.append(details.get("exception", {}).get("description") or details["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and said["type"] in ("error", "assert"):
                found.append(" ".join(str(each.get("value", each.get("description"))) for each in said["args"]))
            elif event["method"] == "Log.entryAdded" and said["entry"]["level"] == "error":
                found.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
            elif event["method"] == "Network.loadingFailed" and not said["canceled"]:
                found.append(f"{said['type']}: {said['errorText']}")
        return found

    def hosts(self) -> set[str]:
        """Hosts that the page asked for something since it was opened, with their ports."""
        sent = [
            each["params"]["request"]["url"] for each in self.events if each["method"] == "Network.requestWillBeSent"
        ]
        return {urlsplit(url).netloc for url in sent if url.startswith(("http:", "https:", "ws:", "wss:"))}

    def picture(self) -> Image.Image:
        """Take a screenshot of the window."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def close(self) -> None:
        """End Chromium."""
        self.process.terminate()
        self.process.wait()
