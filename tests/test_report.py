"""The report's page in a real browser: a headless Chromium, driven over DevTools' pipe; skipped where there is none."""

import os

import numpy as np
import pytest

from models.batch.records import NO_FACE, OK, UNREADABLE, FaceRecord, Record
from models.batch.report import write_report
from models.expressions import CLASS_NAMES, UNCERTAIN
from models.pictures import write_picture
from tests.browser import CHROMIUM, Page

NASTY_NAMES = [
    '"><img src=x onerror="document.title=\'broken\'">.jpg',
    "</script><script>document.title='broken'</script>.jpg",
    "two\nlines, \"quotes\" and 'more'.jpg",
    "grinning 😀 & weeping.jpg",
    os.fsdecode(b"undecodable \xff\xfe.jpg"),
]


def make_record(number: int, name: str | None = None) -> Record:
    """Every tenth has no face, every eleventh cannot be read, the others have one to three; the confidence rises."""
    file = name or f"folder {number % 7}/picture {number}.jpg"
    if number % 11 == 10:
        return Record(file, UNREADABLE, "is damaged or cut short (<b>bold</b>)")
    thumbnail = f"report-thumbnails/{number % 20}.jpg"
    if number % 10 == 9:
        return Record(file, NO_FACE, size=(320, 240), thumbnail=thumbnail)
    faces = []
    for face in range(1 + number % 3):
        confidence = round(0.3 + 0.69 * number / 10_000, 4)
        probabilities = [round((1 - confidence) / 6, 4)] * 7
        probabilities[(number + face) % 7] = confidence
        label = CLASS_NAMES[(number + face) % 7] if confidence > 0.305 else UNCERTAIN
        faces.append(FaceRecord((20 + 90 * face, 40, 80, 80), 5.0, label, confidence, tuple(probabilities)))
    return Record(file, OK, "", tuple(faces), (320, 240), None, thumbnail)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of ten thousand pictures, among them some with nasty names."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    folder = tmp_path_factory.mktemp("report")
    random = np.random.default_rng(0)
    for number in range(20):
        write_picture(folder / f"report-thumbnails/{number}.jpg", random.integers(90, 200, (60, 80, 3), np.uint8))
    records = [make_record(number) for number in range(10_000)]
    for number, name in enumerate(NASTY_NAMES):
        records[number] = make_record(number, name)
    write_report(folder / "report.html", records, CLASS_NAMES)
    page = Page(folder / "report.html", folder / "profile")
    yield page
    page.close()


@pytest.fixture(autouse=True)
def as_opened(page):
    """Each test begins with the page as it was opened."""
    page.run("byId('dialog').close(); byId('filters').reset(); new Promise(done => setTimeout(done, 50))")


FILES = "[...document.querySelectorAll('.card .name')].map(name => name.textContent)"


def shown(page) -> int:
    return int(page.run("byId('count').textContent").split()[0])


def choose(page, field: str, value: str) -> None:
    """Fills a field as a person does."""
    page.run(f"byId('{field}').value = '{value}'; byId('{field}').dispatchEvent(new Event('input', {{bubbles: true}}))")


def test_page_of_ten_thousand_pictures_opens_quickly_and_loads_only_what_is_in_view(page):
    assert shown(page) == 10_000
    assert page.run("document.querySelectorAll('.card').length") <= 400
    page.wait_for("[...document.images].filter(image => image.complete && image.naturalWidth).length > 10")
    assert page.run("document.querySelector('.card rect').getAttribute('x')") == "20"
    milliseconds = page.run("(start => { update(); return performance.now() - start; })(performance.now())")
    assert milliseconds < 2000


def test_scrolling_brings_more_cards(page):
    before = page.run("document.querySelectorAll('.card').length")
    page.run("window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for(f"document.querySelectorAll('.card').length > {before}")


def test_expression_status_confidence_and_name_filter(page):
    expected = [make_record(number) for number in range(10_000)]
    page.run("[...document.querySelectorAll('#bars button')].find(bar => bar.textContent.startsWith('Happy')).click()")
    assert shown(page) == sum(any(face.label == "Happy" for face in record.faces) for record in expected)
    page.run("document.querySelector('#bars button[aria-pressed=true]').click()")
    assert shown(page) == 10_000
    choose(page, "status", "no-face")
    assert shown(page) == sum(record.status == NO_FACE for record in expected)
    choose(page, "status", "")
    choose(page, "low", "90")
    assert shown(page) == sum(any(face.confidence >= 0.9 for face in record.faces) for record in expected) > 0
    choose(page, "low", "0")
    choose(page, "search", "picture 777")
    assert shown(page) == 11
    page.run("document.querySelector('[type=reset]').click()")
    page.wait_for("byId('count').textContent.startsWith('10000 ')")


def test_bars_count_the_faces_that_the_other_filters_leave(page):
    choose(page, "search", "picture 5")
    counts = page.run("[...document.querySelectorAll('#bars span')].map(span => Number(span.textContent))")
    expected = [make_record(number) for number in range(5, 10_000) if str(number).startswith("5")]
    assert sum(counts) == sum(len(record.faces) for record in expected)


def test_pictures_are_sorted(page):
    choose(page, "sort", "surest")
    assert page.run(FILES)[0] == "folder 1/picture 9997.jpg"
    choose(page, "sort", "unsurest")
    assert page.run(FILES)[0] == NASTY_NAMES[0]
    choose(page, "sort", "name")
    choose(page, "search", "folder 3/picture 1")
    assert page.run(FILES)[:3] == [f"folder 3/picture {number}.jpg" for number in (10, 17, 101)]


def test_a_click_shows_the_seven_probabilities_of_each_face(page):
    choose(page, "search", "picture 9997")
    page.run("document.querySelector('.card').click()")
    assert page.run("byId('dialog').open")
    rows = page.run("[...document.querySelectorAll('.probability')].map(row => row.textContent)")
    assert len(rows) == 7 * len(make_record(9997).faces)
    assert {row.rstrip("0123456789 %") for row in rows} == set(CLASS_NAMES) and any("99 %" in row for row in rows)
    choose(page, "search", "")
    page.run("document.querySelector('.card').click(); byId('next').click()")
    assert page.run("byId('title').textContent") == NASTY_NAMES[1]


def test_a_picture_that_cannot_be_read_says_why(page):
    choose(page, "status", "unreadable")
    page.run("document.querySelector('.card').click()")
    assert "cut short (<b>bold</b>)" in page.run("byId('faces').textContent")


def test_names_are_text_and_never_markup(page):
    names = page.run(FILES)
    assert names[:4] == NASTY_NAMES[:4] and "undecodable" in names[4]
    assert page.run("document.title") == "Facial expressions"
    assert page.run("document.querySelectorAll('#cards b, #cards script, #cards img[onerror]').length") == 0


def test_page_asks_for_nothing_beyond_its_folder_and_reports_no_error(page):
    page.run("document.querySelector('.card').click()")
    requests = page.run("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(name.startswith("file:") for name in requests)
    assert page.errors == []
