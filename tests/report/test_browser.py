"""The report in a real browser, if there is one: no error, no request, no sideways scroll.

Where there is none these tests skip, or fail if KERAS_ACTS_REQUIRE_BROWSER=1.
"""

import json
import os
import re
import shutil
import subprocess
from html import unescape

import pytest

from keras_acts.search import pages
from keras_acts.search.verdict import pages as of_verdict
from tests.helpers.reports import NAMES, result, verdict

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
REQUIRED = os.environ.get("KERAS_ACTS_REQUIRE_BROWSER") == "1"
pytestmark = [
    pytest.mark.once,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="no Chromium is installed"),
]
# what the page itself tells, once all is folded out
PROBE = """
<script>
window.addEventListener("load", function () {
  document.querySelectorAll("details").forEach(function (each) { each.open = true; });
  var root = document.documentElement;
  var cut = [];
  document.querySelectorAll("svg").forEach(function (picture) {
    var frame = picture.getBoundingClientRect();
    picture.querySelectorAll("text").forEach(function (words) {
      var box = words.getBoundingClientRect();
      if (box.width && (box.left < frame.left - 1 || box.right > frame.right + 1)) {
        cut.push(words.textContent);
      }
    });
  });
  var tables = [];
  document.querySelectorAll(".table").forEach(function (each) {
    if (each.scrollWidth > each.clientWidth) { tables.push(each.getAttribute("aria-label")); }
  });
  parent.postMessage(JSON.stringify({
    wide: root.scrollWidth, window: window.innerWidth, cut: cut, tables: tables,
    requests: performance.getEntriesByType("resource").map(function (each) { return each.name; }),
    paper: getComputedStyle(document.body).backgroundColor
  }), "*");
});
</script>
"""
# a window is never as narrow as a phone: the page lies in a frame that is
FRAME = """<!DOCTYPE html>
<script>
addEventListener("message", function (told) {
  document.documentElement.setAttribute("data-probe", told.data);
});
</script>
<iframe src="report.html" style="border: 0; width: %dpx; height: 3000px"></iframe>
"""


def opened(page, folder, width, *flags):
    """What a page tells of itself in a window of a width, and what the browser complains about."""
    assert CHROMIUM, "KERAS_ACTS_REQUIRE_BROWSER=1 needs chromium on the PATH"
    file = folder / "report.html"
    file.write_text(page.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    outside = folder / "frame.html"
    outside.write_text(FRAME % width, encoding="utf-8")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}"),
        *("--window-size=1400,3100", "--virtual-time-budget=3000", *flags),
        *("--dump-dom", outside.as_uri()),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    (told,) = re.findall(r'data-probe="([^"]*)"', ran.stdout)
    complaints = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(unescape(told)), complaints


@pytest.fixture(scope="module")
def report():
    return pages.page(result(verdict(rates=True)), "saved_models/mine", 1e-7).to_html()


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_a_report_fits_and_asks_for_nothing(report, tmp_path, width):
    told, complaints = opened(report, tmp_path, width)
    assert complaints == []
    assert told["requests"] == []
    assert told["window"] == width
    assert told["wide"] <= width
    assert told["cut"] == []


def test_no_table_scrolls_on_a_wide_screen(report, tmp_path):
    told, _ = opened(report, tmp_path, 1280)
    assert told["tables"] == []


def test_long_names_fit_a_phone(tmp_path):
    name = "block_of_a_long_name/first_layer: trelu(alpha=0.266123, theta=-0.283456) and others"
    found = verdict(names=("relu", name, NAMES[2]), rates=True)
    told, complaints = opened(of_verdict.page(found).to_html(), tmp_path, 390)
    assert complaints == []
    assert told["wide"] <= 390
    assert told["cut"] == []


def test_it_is_dark_for_those_who_want_it(report, tmp_path):
    dark, _ = opened(report, tmp_path, 1280, "--blink-settings=preferredColorScheme=0")
    assert dark["paper"] == "rgb(20, 24, 29)"
    light, _ = opened(report, tmp_path, 1280)
    assert light["paper"] == "rgb(255, 255, 255)"


def test_the_probe_finds_what_it_looks_for(report, tmp_path):
    wrong = report.replace(
        "</main>", '<div style="width: 2000px">x</div><img src="http://127.0.0.1:9/" alt=""></main>'
    )
    wrong = wrong.replace("</main>", "<script>throw new Error('seen')</script></main>")
    told, complaints = opened(wrong, tmp_path, 390)
    assert told["wide"] > 390
    assert told["requests"]
    assert any("seen" in line for line in complaints)
