#!/usr/bin/env python3
"""Drives headless Chromium over the DevTools protocol (through pipes: no port, no package) and tests HTML reports."""

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import shared

REPLY_SECONDS = 60  # of a browser on a busy machine
WIDE = (1400, 900)
PHONE = (390, 844)


class Browser:
    """One browser and one tab. Commands are JSON, ended by a zero byte, on descriptors 3 and 4 of the browser."""

    def __init__(self, profile):
        to_read, self._to_write = os.pipe()
        self._from_read, from_write = os.pipe()
        # Nothing of its own goes to a network, so that what does would be the page's.
        command = ["chromium", "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic",
                   "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                   "--disable-extensions", "--disable-dev-shm-usage", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(self._shell(command, to_read, from_write), pass_fds=(to_read, from_write),
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self._buffer = b""
        self._last = 0
        self.events = []
        target = self.command("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = None
        self._session = self.command("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")
        self.command("Performance.enable", {"timeDomain": "threadTicks"})  # processor time: a busy machine does not count

    @staticmethod
    def _shell(command, to_read, from_write):
        return ["bash", "-c", f'exec 3<&{to_read} 4>&{from_write}; exec "$@"', "bash", *command]

    def command(self, method, parameters=None):
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters or {}}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._to_write, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._next()
            if reply.get("id") == self._last:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                return reply["result"]
            self.events.append(reply)

    def _next(self):
        while b"\0" not in self._buffer:
            data = os.read(self._from_read, 1 << 16)
            if not data:
                raise RuntimeError("the browser ended")
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, url):
        self.command("Page.navigate", {"url": url})
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())
        loaded = [event for event in self.events if event.get("method") != "Page.loadEventFired"]
        self.events = loaded

    def work(self):
        """Milliseconds of processor time that the page's thread has taken so far."""
        metrics = self.command("Performance.getMetrics")["metrics"]
        return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    def evaluate(self, expression):
        result = self.command("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def key(self, key):
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key, **(text if kind == "keyDown" else {})})

    def click(self, selector):
        box = self.evaluate(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: "
                            "'center'}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", {"type": kind, "x": box[0], "y": box[1], "button": "left", "clickCount": 1})

    def size(self, width, height, mobile=False):
        self.command("Emulation.setDeviceMetricsOverride",
                     {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile})

    def dark(self, on):
        self.command("Emulation.setEmulatedMedia",
                     {"features": [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]})

    def screenshot(self, file):
        data = self.command("Page.captureScreenshot", {"format": "png"})["data"]
        Path(file).write_bytes(base64.b64decode(data))

    def close(self):
        try:
            self._session = None
            self.command("Browser.close")
        except (RuntimeError, OSError):
            pass
        self._process.wait(timeout=REPLY_SECONDS)


class Failure(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Failure(what)


COUNT = "document.querySelector('.controls .mono').textContent"
WHAT = "document.querySelector('.what').textContent"


def step_through(browser):
    """By buttons and by keys; the same place both ways."""
    total = browser.evaluate("document.querySelector('section[data-run]').player.data.pairs.length")
    expect(total > 50, f"a scrubber over {total} moments")
    expect(not browser.evaluate("document.querySelector('.keys').hidden"), "keys are explained")
    browser.click(".controls button:nth-of-type(1)")
    expect(browser.evaluate(COUNT) == f"1 of {total}", "the button to the first moment")
    browser.click(".controls button:nth-of-type(3)")
    browser.click(".controls button:nth-of-type(3)")
    expect(browser.evaluate(COUNT) == f"3 of {total}", "the button one on")
    browser.click(".controls button:nth-of-type(2)")
    expect(browser.evaluate(COUNT) == f"2 of {total}", "the button one back")
    browser.click(".controls button:nth-of-type(4)")
    expect(browser.evaluate(COUNT) == f"{total} of {total}", "the button to the last moment")
    browser.evaluate("document.querySelector('.player').focus()")
    browser.key("Home")
    expect(browser.evaluate(COUNT) == f"1 of {total}", "Home")
    browser.key("ArrowRight")
    expect(browser.evaluate(COUNT) == f"2 of {total}", "the right key")
    browser.key("ArrowLeft")
    browser.key("End")
    expect(browser.evaluate(COUNT) == f"{total} of {total}", "End")
    browser.key("Home")
    seen = []
    for _ in range(40):
        browser.key("n")
        seen.append(browser.evaluate(WHAT))
    expect(any("arrival 0" in text for text in seen), f"the arrival among the events: {seen}")
    expect(any("delivered" in text for text in seen), "a delivery among the events")
    browser.key("Home")
    browser.key("n")
    before = browser.evaluate(COUNT)
    browser.key("n")
    expect(browser.evaluate(COUNT) != before, "n goes on")
    browser.key("p")
    expect(browser.evaluate(COUNT) == before, "p undoes n")
    browser.evaluate("(() => { const r = document.querySelector('input[type=range]'); r.value = 20; "
                     "r.dispatchEvent(new Event('input')); })()")
    expect(browser.evaluate(COUNT) == f"21 of {total}", "the slider")


def shows_the_machine(browser):
    """What is drawn is what the data says: registers, slots with names, the current line of the code."""
    browser.evaluate("document.querySelector('section[data-run]').player.show(30)")
    expect(browser.evaluate("document.querySelectorAll('.registers')[0].children.length") >= 15, "registers")
    names = browser.evaluate("[...document.querySelectorAll('.stack td:nth-child(2)')].map(e => e.textContent)")
    wide = "rax" in browser.evaluate("document.querySelector('.registers').textContent")
    expect(("rip" in names, "eip" in names) == (wide, not wide), f"slots by the names of their width: {names}")
    expect(browser.evaluate("document.querySelectorAll('tr.now').length") >= 1, "a current line")
    expect(browser.evaluate("document.querySelector('tr.now td').textContent").split(":")[0] in browser.evaluate(WHAT),
           "the current line is that of the moment")


def fits(browser, width):
    overflow = browser.evaluate("document.documentElement.scrollWidth")
    expect(overflow <= width, f"{overflow} pixels wide on {width}")


# Texts of pictures that run out of them.
CUT_OFF = """[...document.querySelectorAll('svg text')].filter((text) => {
  const box = text.getBBox();
  return box.x < 0 || box.x + box.width > text.ownerSVGElement.viewBox.baseVal.width;
}).map((text) => text.textContent)"""


def nothing_cut_off(browser):
    cut = browser.evaluate(CUT_OFF)
    expect(not cut, f"texts inside their pictures: {cut[:3]}")


# The least contrast of a visible text with what is behind it (WCAG 2.1), and where. Backgrounds are opaque.
CONTRAST = """(() => {
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  let least = [21, ''];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length) continue;
    if (e.closest('svg, script, noscript')) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least[0]) least = [contrast, e.outerHTML.slice(0, 80)];
  }
  return least;
})()"""


def legible(browser):
    least, where = browser.evaluate(CONTRAST)
    expect(least >= 4.5, f"text that stands out from its background: {least:.1f} to 1 at {where}")


def no_complaints(browser):
    bad = [e for e in browser.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
    expect(not bad, f"no errors: {bad}")
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    expect(all(url.startswith(("file:", "about:", "data:")) for url in asked), f"no network: {asked}")


def without_scripts(browser, url):
    browser.command("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.open(url)
    browser.command("Emulation.setScriptExecutionDisabled", {"value": False})
    expect(browser.evaluate("document.querySelector('.player').hidden && document.querySelector('.keys').hidden"),
           "no scrubber and no keys without scripts")
    expect(browser.evaluate("document.querySelectorAll('svg').length") > 0, "pictures without scripts")
    expect(browser.evaluate("document.querySelectorAll('tr.delivery, tr.arrival').length") > 0, "a timeline without scripts")


def test_report(browser, file, shots):
    url = Path(file).as_uri()
    name = Path(file).stem
    browser.size(*WIDE)
    browser.dark(False)
    browser.open(url)
    loaded = loading(browser)
    nothing_cut_off(browser)
    step_through(browser)
    shows_the_machine(browser)
    in_all_lights(browser, shots, name)
    browser.size(*PHONE, mobile=True)
    columns = browser.evaluate("getComputedStyle(document.querySelector('.sides')).gridTemplateColumns.split(' ').length")
    expect(columns == 1, "one column on a phone")
    step_through(browser)
    browser.size(*WIDE)
    no_complaints(browser)
    without_scripts(browser, url)
    take(browser, shots, f"{name}-noscript")
    return loaded


def loading(browser):
    """How long it took until the page was there."""
    wall = browser.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    return f"loaded in {wall:.0f} ms, {browser.work():.0f} ms of them the processor's"


def in_all_lights(browser, shots, name):
    """Light and dark, on a screen and on a phone."""
    backs = set()
    for dark in (False, True):
        browser.dark(dark)
        for width, size in (("wide", WIDE), ("phone", PHONE)):
            browser.size(*size, mobile=size == PHONE)
            fits(browser, size[0])
            legible(browser)
            take(browser, shots, f"{name}-{'dark' if dark else 'light'}-{width}")
        backs.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    expect(len(backs) == 2, "another background in the dark")
    browser.dark(False)
    browser.size(*WIDE)


def test_map(browser, file, shots):
    """The page of an exploration: a map with a cell for each boundary and context. It needs no scripts."""
    browser.command("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.open(Path(file).as_uri())
    browser.command("Emulation.setScriptExecutionDisabled", {"value": False})
    loaded = loading(browser)
    rows = browser.evaluate("document.querySelectorAll('.map tr').length")
    columns = browser.evaluate("document.querySelectorAll('.map th').length")
    cells = browser.evaluate("document.querySelectorAll('.map td').length")
    expect(rows > 50 and columns > 10 and cells == (rows - 1) * columns, f"{cells} cells of {rows} by {columns}")
    expect(browser.evaluate("document.querySelectorAll('.map .o5').length") > 0, "known violations on the map")
    expect(browser.evaluate("document.querySelectorAll('.map .o3').length") > 0, "folds on the map")
    in_all_lights(browser, shots, Path(file).stem)
    no_complaints(browser)
    return loaded


def take(browser, shots, name):
    if shots:
        for place, selector in (("top", "h1"), ("player", ".player"), ("stacks", "svg"), ("map", ".map")):
            if browser.evaluate(f"document.querySelector('{selector}')?.scrollIntoView() !== null"):
                browser.screenshot(Path(shots) / f"{name}-{place}.png")


# The longest report that a search has found: exceptions that nest, each before the one below has saved its registers, an NMI,
# and an event inside each call of the event handler.
SIXTEEN = [(42, "general_protection"), (22, "general_protection"), (25, "general_protection"), (26, "divide_error"),
           (24, "general_protection"), (21, "general_protection"), (20, "general_protection"),
           (26, "general_protection"), (17, "general_protection"), (26, "divide_error"), (23, "general_protection"),
           (26, "general_protection"), (33, "general_protection"), (19, "general_protection"), (16, "page_fault"),
           (14, None)]


def sixteen(framefold, folder):
    """A scenario that takes as many arrivals as there can be."""
    text = 'entry = "xenlinux-x86_64-nesting"\n[context]\nvector = "event"\nmode = "user"\n'
    text += "[handler]\nnested_event = [0, 1, 2, 3]\n"
    for distance, vector in SIXTEEN:
        kind = f'kind = "exception"\nvector = "{vector}"' if vector else 'kind = "nmi"'
        text += f"[[arrival]]\n{kind}\ndistance = {distance}\n"
    file = Path(folder) / "sixteen.toml"
    file.write_text(text)
    run = subprocess.run([framefold, "run", "--json", "--known=report", file], capture_output=True, text=True, check=False)
    reached = json.loads(run.stdout)["results"][0]["arrivals_reached"]
    if reached != len(SIXTEEN):
        sys.exit(f"report-browser-test: FAILED: {reached} of {len(SIXTEEN)} arrivals are taken")
    return file


def main():
    parser = shared.Parser(__doc__)
    parser.add_argument("--framefold", type=shared.program, required=True)
    parser.add_argument("--reproducers", type=shared.folder, required=True)
    parser.add_argument("--screenshots")
    options = parser.parse_args()
    if options.screenshots:
        Path(options.screenshots).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        inputs = {"two": [Path(options.reproducers) / "minios-x86_64-table" / "nmi-masked-scrit.toml",
                          Path(options.reproducers) / "minios-x86_64-single" / "handler-frame-restore_end.toml"],
                  "wide32": [Path(options.reproducers) / "linux-x86_32-2007" / "early-delivery-xen_iret_start_crit.toml"],
                  "sixteen": [sixteen(options.framefold, folder)]}
        reports = []
        for name, files in inputs.items():
            reports.append(Path(folder) / f"{name}.html")
            subprocess.run([options.framefold, "report", *files, "-o", reports[-1]], check=True, stdout=subprocess.DEVNULL)
        if (size := reports[-1].stat().st_size) >= 1_000_000:
            print(f"report-browser-test: FAILED: a scenario of 16 arrivals takes {size} bytes")
            return 1
        reports.append(Path(folder) / "map.html")
        subprocess.run([options.framefold, "explore", "minios-x86_64-table", "--report", reports[-1]], check=True,
                       stdout=subprocess.DEVNULL)
        browser = Browser(Path(folder) / "profile")
        try:
            for report in reports:
                test = test_map if report.stem == "map" else test_report
                loaded = test(browser, report, options.screenshots)
                print(f"report-browser-test: {report.name}: passed; {report.stat().st_size} bytes, {loaded}")
        except Failure as failure:
            print(f"report-browser-test: FAILED: {report.name}: {failure}")
            return 1
        finally:
            browser.close()
    return 0


if __name__ == "__main__":
    shared.run(main)
