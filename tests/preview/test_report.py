"""The page: what it says, that it asks for nothing, and that names cannot harm it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests import synthetic
from tests.exports.conftest import reader
from visionsim.preview.run import preview_datasets

HOSTILE = "<script>hacked = 1</script>"
ATTRIBUTE = "\"'><img src=http://evil.example/x.png onerror=hacked=1>"
SCENE = "a&b<i>c#d'"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A dataset with names that attack a page, and one that does not; a damaged frame."""
    root = tmp_path_factory.mktemp("page") / "data<sets>"
    for scene, frames in (("balls", 7), (SCENE, 2)):
        synthetic.write_dataset(root / "renders" / scene / "001-00005-00012", num_frames=frames)
    path = root / "renders" / SCENE / "001-00005-00012" / "transforms.json"
    document = json.loads(path.read_text())
    document["labels"]["1"].update({"name": HOSTILE, "path": ATTRIBUTE, "class": HOSTILE})
    document["labels"]["2"].update({"class": ATTRIBUTE})
    document["generator"]["settings"]["addons"] = [HOSTILE]
    path.write_text(json.dumps(document))
    damaged = root / "renders" / "balls" / "001-00005-00012" / "normals" / "normal_000005.exr"
    damaged.write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def page(root) -> Path:
    report = preview_datasets(root, videos=False)
    assert report.exit_code == 1 and not (root / "previews").exists()
    assert report.page is not None
    return report.page


class Tags(HTMLParser):
    """All tags with their attributes; the text of the style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.style, self.words, self._in = "", "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self._in = tag
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        if self._in == "style":
            self.style += data
        else:
            self.words += data

    def handle_endtag(self, tag) -> None:
        self._in = ""


def test_page_asks_for_nothing(page) -> None:
    text = page.read_text(encoding="utf-8")
    tags = Tags(text)
    assert not re.search(r"url\(|@import|http-equiv=.refresh", text)
    known = set("html head meta title style body header main section article footer h1 h2 h3 p div span small".split())
    known |= set("dl dt dd ul li table thead tbody tr th td a img svg rect path text circle details summary".split())
    assert {tag for tag, _ in tags.tags} <= known
    for tag, attributes in tags.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href", "srcset", "xlink:href", "action", "background", "poster"):
            value = attributes.get(name)
            if value is not None:
                assert value.startswith(("data:image/jpeg;base64,", "#s", "previews/")), (tag, name, value[:80])


def test_policy_allows_the_style_and_nothing_else(page) -> None:
    tags = Tags(page.read_text(encoding="utf-8"))
    (policy,) = [a["content"] for t, a in tags.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(tags.style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_hostile_names_are_words(page) -> None:
    text = page.read_text(encoding="utf-8")
    words = Tags(text).words
    assert HOSTILE in words and ATTRIBUTE in words and SCENE in words and "data<sets>" in words
    assert "<script" not in text and "<img src=http" not in text


def test_page_says_what_there_is(page) -> None:
    words = Tags(page.read_text(encoding="utf-8")).words
    for expected in (
        "Damaged or missing files", "balls/001-00005-00012, frame 5, normals: ", "1 damaged frame", "finished",
        "Settings of all sequences", "keyframe_multiplier", "5.2.3 LTS", "From 7 of 7 frames.", "path from above",
        "units along the path, height 1.6", "Length of flow", "pixels per frame", "scene units", "floor", "background",
        "modification times", "7 frames, 5 to 11", "120 × 80", "Settings of this sequence", "The 4 largest objects",
    ):  # fmt: skip
        assert expected in words, expected


def test_page_does_not_tell_where_it_was_made(page, root) -> None:
    words = Tags(page.read_text(encoding="utf-8")).words
    assert str(root) not in words and str(root.parent) not in words
    assert "renders/balls/001-00005-00012/normals/normal_000005.exr" in words


def test_every_kind_has_a_strip_and_pictures_are_few_and_small(page) -> None:
    tags = Tags(page.read_text(encoding="utf-8")).tags
    strips = [attributes for tag, attributes in tags if tag == "img"]
    assert len(strips) == 2 * 6 and all(len(attributes["src"] or "") < 60_000 for attributes in strips)
    assert (strips[6]["alt"] or "") == "picture, frames 5, 7, 8, 9, 11"


def test_links_lead_to_the_videos(root, ffmpeg, tmp_path) -> None:
    copied = Path(shutil.copytree(root, tmp_path / "copied"))
    report = preview_datasets(copied, kinds=["frames"])
    from urllib.parse import unquote

    links = [a["href"] or "" for t, a in Tags(report.page.read_text(encoding="utf-8")).tags if t == "a"]
    videos = {unquote(link) for link in links if link.startswith("previews/")}
    assert videos == {path.relative_to(copied).as_posix() for path in report.videos} and len(videos) == 3
    assert all((copied / video).is_file() for video in videos)


def test_page_of_many_sequences_stays_small(tmp_path) -> None:
    first = synthetic.write_dataset(tmp_path / "renders" / "s0" / "001", num_frames=2)
    for number in range(1, 200):
        shutil.copytree(first, tmp_path / "renders" / f"s{number}" / "001", copy_function=os.link)
    report = preview_datasets(tmp_path, videos=False, details=3)
    text = report.page.read_text(encoding="utf-8")
    assert text.count("<article") == 3 and text.count('<tr><td class="name">s') >= 1
    assert all(f">s{number}/001<" in text for number in range(200))
    assert "The first 3 of 200 sequences are shown in full." in text
    table = len(text) - sum(len(card) for card in re.findall(r"<article.*?</article>", text, re.DOTALL))
    assert table < 30_000 + 200 * 500


def test_browser_loads_nothing_runs_nothing_and_shows_it_on_a_phone(page) -> None:
    """In headless Chromium: Debian's, or Playwright's own."""
    playwright = reader("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        program = shutil.which("chromium") or driver.chromium.executable_path
        if not Path(program).exists() and not os.environ.get("VISIONSIM_REQUIRE_READERS"):
            pytest.skip("there is no Chromium")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for width, scheme in ((390, "dark"), (1200, "light")):
            tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            asked: list[str] = []
            complaints: list[str] = []
            tab.on("request", lambda request, asked=asked: asked.append(request.url))
            tab.on("console", lambda message, complaints=complaints: complaints.append(message.text))
            tab.goto(page.as_uri())
            assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()] and not complaints
            assert tab.evaluate("typeof hacked") == "undefined"
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert dark == ("rgb(18, 21, 26)" if scheme == "dark" else "rgb(245, 246, 248)")
            broken = "[...document.images].filter(image => !image.naturalWidth).length"
            assert tab.evaluate(broken) == 0
            tab.close()
        browser.close()


def test_page_tells_no_host_and_no_folder_of_a_run(tmp_path) -> None:
    root = tmp_path / "data"
    synthetic.write_dataset(root / "renders" / "balls" / "001", num_frames=2)
    failure = {
        "scene": "toy",
        "sequence": "toy/001",
        "frames": [3],
        "message": "no room at /far/alice/toy.blend. Log: x",
    }
    record = root / ".visionsim" / "run-alicebox-123.jsonl"
    record.parent.mkdir()
    holder = {"host": "alicebox", "pid": 123, "started": "2026-01-02T03:04:05+00:00"}
    record.write_text("\n".join(map(json.dumps, (holder, {"failure": failure}))) + "\n")
    words = Tags(preview_datasets(root, videos=False).page.read_text(encoding="utf-8")).words
    assert "no room at toy.blend" in words and "since 2026-01-02" in words
    assert "alice" not in words and str(tmp_path) not in words
