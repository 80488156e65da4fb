"""A headless Chromium, driven over DevTools' pipe."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-pipe --window-size=1280,900"
)
PATIENCE = 60  # seconds
# The browser reads commands on descriptor 3 and answers on 4.
START = """
import os, sys
commands, answers, *browser = sys.argv[1:]
os.dup2(int(commands), 3)
os.dup2(int(answers), 4)
os.execv(browser[0], browser)
"""


class Page:
    """A page in a headless browser."""

    def __init__(self, path: Path, profile: Path):
        from_us, to_browser = os.pipe()
        from_browser, to_us = os.pipe()
        self._to_browser, self._from_browser = os.fdopen(to_browser, "wb", buffering=0), from_browser
        self._unread = b""
        browser = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
        self._browser = subprocess.Popen(
            [sys.executable, "-c", START, str(from_us), str(to_us), *browser], pass_fds=(from_us, to_us),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(from_us)
        os.close(to_us)
        self._number = 0
        self.errors: list[str] = []
        self._session: str | None = None
        target = self.call("Target.getTargets")["targetInfos"][0]["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=path.as_uri())
        self.wait_for("document.readyState === 'complete'")

    def call(self, method: str, **parameters):
        """Sends a command and returns its result; what the page reports meanwhile is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._to_browser.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
                self.errors.append(json.dumps(answer["params"]))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self):
        while b"\0" not in self._unread:
            assert select.select([self._from_browser], [], [], PATIENCE)[0], "the browser does not answer"
            part = os.read(self._from_browser, 1 << 16)
            assert part, "the browser has gone"
            self._unread += part
        text, _, self._unread = self._unread.partition(b"\0")
        return json.loads(text)

    def run(self, script: str):
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 60):
        end = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def close(self):
        self._browser.kill()
        self._browser.wait()
        self._to_browser.close()
        os.close(self._from_browser)
