"""The page in a real browser, driven as a reader would: headless Chromium by its WebDriver."""

import io
import json
import math
import shutil
import time

import numpy as np
import pytest
import vl_convert
from PIL import Image
from synthetic import RUNS, content, draw, read, rewrite_claims, write_reports

from sslpipe.reporting.leaderboard import compared, rows_of
from sslpipe.reporting.results import Results
from sslpipe.stages import claims as claims_stage
from sslpipe.stages import leaderboard as leaderboard_stage
from sslpipe.stages import page as page_stage

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver import ActionChains  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian: chromium-driver)"
)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1280,900",
)  # fmt: skip
WIDE, PHONE = 1280, 360
STUDIES = {
    "method": {"runs": ["simclr", "moco", "byol"], "x": "method"},
    "rate": {"runs": ["moco", "moco_fast"], "x": "lr"},
    "empty": {"runs": [], "x": "lr"},
}
ALL = RUNS | {"moco_fast": {"method": "moco", "lr": 0.003}}


def whole(folder):
    params = content(ALL, studies=STUDIES, finetune={"runs": ["moco"], "epochs": 3})
    params, layout = write_reports(folder, params)
    path = layout.history("moco")
    header, *lines = path.read_text().splitlines()
    place = header.split(",").index("resumed")
    cells = lines[2].split(",")
    lines[2] = ",".join([*cells[:place], "1", *cells[place + 1 :]])
    path.write_text("\n".join([header, *lines]) + "\n")
    return params, layout


def one_run(folder):
    return write_reports(folder, content({"moco": {"method": "moco"}}, ("zoo",)))


def no_run(folder):
    return write_reports(folder, content(RUNS, studies=STUDIES | {"rate": {"runs": [], "x": "lr"}}),
                         without=tuple(RUNS))  # fmt: skip


def unfinished(folder):
    studies = STUDIES | {"rate": {"runs": ["byol"], "x": "lr"}}
    params, layout = write_reports(folder, content(RUNS, studies=studies), without=("byol",))
    layout.metrics("simclr", "sun").unlink()
    layout.features("moco", "zoo").unlink()
    layout.history("moco").unlink()
    layout.dataset_facts("sun").unlink()
    return params, layout


def baselines(folder):
    return write_reports(folder, content({n: RUNS[n] for n in ("untrained", "raw_pixels")}))


CASES = [whole, one_run, no_run, unfinished, baselines]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """case → (params, layout) of its page; claims and figures of the first case only."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "javascript_bundle", lambda snippet: bundle)
        for case in CASES:
            params, layout = made[case] = case(tmp_path_factory.mktemp(case.__name__))
            leaderboard_stage.run(params, layout)
            if case is whole:
                draw(params, layout)
                claims_stage.run(params, layout)
            if case is unfinished:
                rewrite_claims(params, layout, {"claims": []})
            page_stage.run(params, layout)
    return made


@pytest.fixture(scope="module")
def driver():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


class Browser:
    """A page that is open in it."""

    def __init__(self, driver, layout):
        self.driver, self.layout = driver, layout

    def open(self, width=WIDE, theme="light", again=True):
        """again: anew, even if it is open."""
        self.show(width, theme)
        if not again and self.driver.current_url == self.layout.page().resolve().as_uri():
            return self
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)  # forget what was before
        self.driver.get(self.layout.page().resolve().as_uri())
        self.until(lambda: self.js("return document.documentElement.dataset.ready") == "yes")
        return self

    def show(self, width=WIDE, theme="light", media=""):
        cdp = self.driver.execute_cdp_cmd
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        cdp("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        cdp("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def click(self, element):
        """Where the sticky bar does not cover it."""
        self.js("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", element)
        element.click()

    def number(self, dataset, run, key):
        """The button of a number of the leaderboard."""
        keys = self.js("return [...document.querySelectorAll('#leaderboard th[data-key]')]"
                       ".map(th => th.dataset.key)")  # fmt: skip
        return self.one(
            f"#leaderboard tbody[data-dataset='{dataset}'] tr[data-run='{run}'] "
            f":nth-child({keys.index(key) + 1}) > button"
        )

    def brightness(self, selector):
        """Of most of what is seen of an element: 0 is black, 1 white."""
        shot = io.BytesIO(self.one(selector).screenshot_as_png)
        return np.median(np.asarray(Image.open(shot).convert("L"))) / 255

    def column(self, key, dataset="zoo"):
        """What is sorted by, as numbers or None, of the rows that are seen."""
        return self.js(
            "const table = document.querySelector('#leaderboard');"
            "const i = [...table.tHead.rows[0].cells].findIndex(th => th.dataset.key === arguments[0]);"
            "return [...table.querySelectorAll(`[data-dataset='${arguments[1]}'] tr:not(.group)`)]"
            ".filter(row => row.offsetParent).map(row => row.cells[i].dataset.v ?? null)",
            key,
            dataset,
        )

    def rows(self):
        """(data set, run or '', kind) of the leaderboard's rows that are seen."""
        return self.js(
            "return [...document.querySelectorAll('#leaderboard tbody tr:not(.group)')]"
            ".filter(row => row.offsetParent).map(row => [row.parentElement.dataset.dataset, "
            "row.dataset.run ?? '', row.dataset.kind])"
        )

    def until(self, true, seconds=20.0):
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it takes too long"
            time.sleep(0.02)

    def problems(self):
        """What the console says, and every request but the one for the page; its pictures are in it."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        urls = [event["params"]["request"]["url"] for event in events
                if event["method"] == "Network.requestWillBeSent"]  # fmt: skip
        urls.remove(self.layout.page().resolve().as_uri())
        return said + [url for url in urls if not url.startswith("data:")]

    def dialog(self):
        """Its text, or None where it is closed."""
        return self.js(
            "const d = document.querySelector('#dialog'); return d.open ? d.innerText : null"
        )


@pytest.fixture(scope="module")
def page(driver, pages):
    return Browser(driver, pages[whole][1])


@pytest.fixture(scope="module")
def board(pages):
    return read(pages[whole][1].leaderboard("json"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_opens_without_requests_errors_or_sideways_scrolling(driver, pages, case, width):
    browser = Browser(driver, pages[case][1]).open(width, "light" if width == WIDE else "dark")
    charts = browser.all(".chart")
    drawn = browser.js("return [...document.querySelectorAll('.chart')].map(c => "
                       "c.dataset.drawn === 'yes' && (c.querySelector('svg, .empty') !== null))")  # fmt: skip
    assert all(drawn) and len(drawn) == len(charts)
    assert len(browser.all(".chart svg")) > (7 if case is whole else -1)
    seen = browser.js("return [...document.querySelectorAll('img')].map(i => i.naturalWidth > 0)")
    assert all(seen) and len(seen) == (7 if case is whole else 0)
    assert browser.js("return document.documentElement.scrollWidth") <= width
    assert browser.problems() == []


def test_rows_are_sorted_within_each_data_set(page):
    page.open()
    heading = page.one("#leaderboard th[data-key='knn_top1']")
    page.click(heading.find_element("css selector", "button"))
    assert heading.get_attribute("aria-sort") == "descending"
    values = [float(value) for value in page.column("knn_top1")]
    assert values == sorted(values, reverse=True) and len(values) == 7
    page.click(heading.find_element("css selector", "button"))
    assert heading.get_attribute("aria-sort") == "ascending"
    for dataset in ("zoo", "sun"):
        values = [float(value) for value in page.column("knn_top1", dataset)]
        assert values == sorted(values)
    assert len(page.all("#leaderboard th[aria-sort]")) == 1
    for _ in range(2):  # what has no number stays last, either way
        page.click(page.one("#leaderboard th[data-key='train_seconds'] button"))
        assert [value is None for value in page.column("train_seconds")] == [False] * 4 + [True] * 3
    page.click(page.one("#leaderboard th[data-key='run'] button"))
    runs = [run or "chance" for dataset, run, _ in page.rows() if dataset == "zoo"]
    assert runs == sorted(runs)


def test_filters_choose_rows(page):
    page.open()
    everything = page.rows()
    Select(page.one("[data-filter='method']")).select_by_visible_text("moco")
    kept = page.rows()
    assert {run for _, run, kind in kept if kind == "trained"} == {"moco", "moco_fast"}
    assert [row for row in kept if row[2] != "trained"] == [
        row for row in everything if row[2] != "trained"
    ]
    page.click(page.one("#baselines"))
    assert {kind for _, _, kind in page.rows()} == {"trained"}
    Select(page.one("[data-filter='dataset']")).select_by_visible_text("sun")
    assert sorted(page.rows()) == [["sun", "moco", "trained"], ["sun", "moco_fast", "trained"]]
    assert page.one("#shown").text == f"2 of {len(everything)} rows"
    Select(page.one("[data-filter='corpus']")).select_by_visible_text("base")
    Select(page.one("[data-filter='backbone']")).select_by_visible_text("resnet18")
    assert len(page.rows()) == 2
    Select(page.one("[data-filter='method']")).select_by_visible_text("byol")
    assert [run for _, run, _ in page.rows()] == ["byol"]
    page.click(page.one("#filters [type='reset']"))
    page.until(lambda: page.rows() == everything)


def test_columns_and_intervals_can_be_shown_and_hidden(page):
    page.open()

    def seen(key):
        return page.one(f"#leaderboard th[data-key='{key}']").is_displayed()

    assert seen("knn_top1") and not seen("effective_rank")
    page.click(page.one(".columns summary"))
    for key in ("knn_top1", "effective_rank"):
        page.click(page.one(f"#columns input[value='{key}']"))
    assert not seen("knn_top1") and seen("effective_rank")
    assert page.number("zoo", "moco", "effective_rank").is_displayed()
    assert not page.number("zoo", "moco", "knn_top1").is_displayed()
    note = page.one("#leaderboard td[data-v]:not(.off) small")
    assert note.is_displayed()
    page.click(page.one("#notes"))
    assert not note.is_displayed()


def test_hovering_a_curve_tells_its_value_and_dims_the_others(page, pages):
    page.open()
    history = Results(*pages[whole]).history["byol"]
    value = 100 * history["knn_zoo"].iloc[1]
    point = page.js(
        "return [...document.querySelector('#curve-panels .chart').querySelectorAll('.mark-symbol path')]"
        ".find(p => p.__data__.datum.run === 'byol' && p.__data__.datum.epoch === 2)"
    )
    page.js("arguments[0].scrollIntoView({block: 'center'})", point)
    ActionChains(page.driver).move_to_element(point).perform()
    page.until(lambda: page.all("#vg-tooltip-element.visible"))
    said = page.one("#vg-tooltip-element").text.split()
    assert said[:4] == ["run", "byol", "epoch", "2"]
    assert float(said[-1]) == pytest.approx(value, abs=0.006)
    lines = page.js(
        "return [...document.querySelector('#curve-panels .chart').querySelectorAll('.mark-line path')]"
        ".map(p => [p.__data__.datum.run, Number(p.getAttribute('opacity') ?? 1)])"
    )
    assert {run for run, opacity in lines if opacity == 1} == {"byol"} and len(lines) == 6


def test_runs_of_the_curves_are_chosen_by_their_boxes(page):
    page.open()

    def lines():
        return sorted(page.js(
            "return [...document.querySelectorAll('#curve-panels .chart')[0].querySelectorAll"
            "('.mark-line path')].map(p => p.__data__.datum.run)"))  # fmt: skip

    trained = sorted(run for run in ALL if run not in ("untrained", "raw_pixels"))
    assert lines() == trained
    assert (
        len(page.all("#curve-panels .chart:first-child path[fill='var(--surface)']")) == 1
    )  # resumed
    page.click(page.one("#curve-table input[value='byol']"))
    page.until(lambda: lines() == [run for run in trained if run != "byol"])
    page.click(page.one("[data-select='none']"))
    page.until(lambda: "no run is chosen" in page.one("#curve-panels").text)
    page.click(page.one("[data-select='best']"))
    page.until(lambda: len(lines()) == 3)
    colours = page.js("return [...document.querySelectorAll('#curve-table tr:has(input:checked) path')]"
                      ".map(p => getComputedStyle(p).stroke)")  # fmt: skip
    assert len(set(colours)) == 3
    page.click(page.one("[data-select='all']"))
    page.until(lambda: lines() == trained)
    assert page.problems() == []


def test_a_number_tells_where_it_comes_from(page, board):
    page.open()
    button = page.number("sun", "moco", "probe_top1")
    page.click(button)
    row = next(row for row in rows_of(board, "sun") if row["run"] == "moco")
    score = row["scores"]["probe_top1"]
    said = page.dialog()
    values = [line.split()[-1] for line in said.splitlines() if line.startswith("moco")]
    assert [float(value) for value in values[:3]] == score["values"]
    mean = float(said.split("mean\n")[1].split()[0])
    assert mean == pytest.approx(score["mean"], abs=1e-15)
    assert f"{score['low']} to {score['high']}" in said
    for part in ("metrics/sun/moco_seed2.json", "predictions/sun/moco.npz", "pretrain/moco_seed1.json",
                 "0123456789abcdef" * 4, "fedcba9876543210" * 4, "25c1602720d2428d", "2.14.1",
                 "cpu, 1 threads", "2026-11-25T18:52:58+00:00", "train_seconds"):  # fmt: skip
        assert part in said, part
    links = page.js(
        "return [...document.querySelectorAll('#dialog a')].map(a => a.getAttribute('href'))"
    )
    assert links and all((page.layout.page().parent / link).exists() for link in links)
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    assert page.dialog() is None
    assert page.driver.switch_to.active_element == button
    page.click(button)
    page.click(page.one("#dialog form button"))
    assert page.dialog() is None


def test_every_kind_of_number_has_an_origin(page):
    page.open()
    buttons = page.js(
        "const kinds = {}; const dialog = document.querySelector('#dialog');"
        "for (const b of document.querySelectorAll('button.from')) {"
        "  const kind = `${b.closest('section').id} ${b.dataset.source} ${b.dataset.key}`;"
        "  if (kind in kinds) continue;"
        "  b.click(); kinds[kind] = dialog.open ? dialog.innerText : ''; dialog.close(); }"
        "return Object.entries(kinds)"
    )
    kinds = {kind.split()[1] for kind, _ in buttons}
    assert kinds == {"score", "difference", "pair", "training", "history", "facts", "run", "place",
                     "answers", "study"}  # fmt: skip
    for kind, said in buttons:
        assert said and "undefined" not in said and "NaN" not in said, kind
    assert page.problems() == []
    text = page.js("return document.querySelector('main').innerText")
    assert "undefined" not in text and "NaN" not in text
    values = page.js(
        "return [...document.querySelectorAll('[data-v]')].map(cell => cell.dataset.v)"
    )
    assert len(values) > 300 and all(math.isfinite(float(value)) for value in values)


def test_differences_are_those_of_the_leaderboard_whichever_way_round(page, board):
    page.open(again=False)
    names = board["comparisons"]["zoo"]["runs"]
    for run, rival in [(names[0], names[1]), (names[-1], names[0]), (names[2], names[-2])]:
        page.js("document.querySelector(`#differences-zoo tr[data-run='${arguments[0]}'] "
                "button[data-key='${arguments[1]}']`).click()", run, rival)  # fmt: skip
        said = page.dialog().replace("−", "-")
        found = compared(board, "zoo", run, rival)
        assert f"{run} minus {rival} on zoo" in said
        low, high = (f"{100 * end:+.4f}" for end in (found.low, found.high))
        assert f"{100 * found.difference:+.4f} points" in said and f"{low} to {high}" in said
        page.js("document.querySelector('#dialog').close()")


def test_the_chart_of_intervals_shows_the_numbers_of_the_leaderboard(page, board):
    page.open()
    Select(page.one("#sure-dataset")).select_by_visible_text("sun")
    Select(page.one("#sure-score")).select_by_visible_text("fine-tuned")
    row = next(row for row in rows_of(board, "sun") if row["run"] == "moco")

    def points():
        return page.js(
            "return [...document.querySelectorAll('#intervals .mark-symbol path')]"
            ".map(p => p.__data__.datum).filter(d => d.run).map(d => [d.run, d.dataset, d.score])"
        )

    page.until(lambda: len(points()) == 1)
    ((run, dataset, score),) = points()
    assert (run, dataset) == ("moco", "sun")
    assert score == pytest.approx(100 * row["scores"]["finetune_top1"]["mean"])
    page.click(page.one("#intervals .mark-symbol path"))
    page.until(page.dialog)
    assert page.dialog().startswith("fine-tuned of moco on sun")
    page.js("document.querySelector('#dialog').close()")
    assert page.problems() == []


def test_the_keyboard_suffices(page):
    page.open()
    keys = ActionChains(page.driver)
    keys.send_keys(Keys.TAB).perform()
    assert page.driver.switch_to.active_element.get_attribute("class") == "skip"
    stops = page.js("return [...document.querySelectorAll('#leaderboard button.from')]"
                    ".filter(b => b.tabIndex === 0).length")  # fmt: skip
    assert stops == 1
    first = page.one("#leaderboard button.from[tabindex='0']")
    page.js("arguments[0].focus()", first)
    focused = page.driver.switch_to
    for key, run, column in [
        (Keys.ARROW_RIGHT, None, "place"),
        (Keys.ARROW_RIGHT, None, "knn_top1"),
        (Keys.ARROW_DOWN, 1, "knn_top1"),
        (Keys.ARROW_LEFT, 1, "place"),
    ]:
        ActionChains(page.driver).send_keys(key).perform()
        element = focused.active_element
        assert element.get_attribute("data-key") == column
        if run is not None:
            rows = page.all("#leaderboard tbody:first-of-type tr[data-run]")
            assert element in rows[run].find_elements("css selector", "button")
    outline = page.js("const s = getComputedStyle(document.activeElement); return s.outlineStyle")
    assert outline == "solid"
    ActionChains(page.driver).send_keys(Keys.ENTER).perform()
    assert page.dialog().startswith("Place of ")
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    assert page.dialog() is None and focused.active_element.get_attribute("data-key") == "place"


def test_on_a_phone_names_stay_in_sight_and_dialogs_fit(page):
    page.open(PHONE)
    box = page.one(".box:has(#leaderboard)")
    page.js("arguments[0].scrollIntoView(); arguments[0].scrollLeft = 10000", box)
    assert page.js("return arguments[0].scrollLeft", box) > 50
    name = page.one("#leaderboard tr[data-run] th")
    place = "return arguments[0].getBoundingClientRect().left"
    assert page.js(place, name) == pytest.approx(page.js(place, box), abs=2)
    page.js("arguments[0].style.maxHeight = '300px'; arguments[0].scrollTop = 400", box)
    top = "return arguments[0].getBoundingClientRect().top"
    heading = page.one("#leaderboard thead th[data-key='public_top1']")
    assert page.js(top, heading) == pytest.approx(page.js(top, box), abs=2)
    page.click(page.number("zoo", "moco", "public_top1"))
    edges = page.js("const r = document.querySelector('#dialog').getBoundingClientRect();"
                    "return [r.left, r.right, r.bottom]")  # fmt: skip
    assert edges[0] >= 0 and edges[1] <= PHONE and edges[2] <= 900
    assert (
        page.js("const d = document.querySelector('#dialog'); return d.scrollWidth - d.clientWidth")
        <= 0
    )


SIZES = (
    "return [...document.querySelectorAll('.drawn img')].map(i => [i.naturalWidth, i.clientWidth, "
    "i.clientHeight / i.clientWidth * i.naturalWidth / i.naturalHeight, i.parentElement.clientWidth])"
)


@pytest.mark.parametrize("width", [PHONE, 760, WIDE])
def test_figures_fit_their_place_as_long_as_their_letters_can_be_read(page, width):
    page.open(width)
    for natural, shown, stretched, place in page.js(SIZES):
        assert shown == pytest.approx(min(natural, max(place, 0.75 * natural)), abs=1.5)
        assert stretched == pytest.approx(1, abs=0.01)
    page.js("document.querySelector('#studies .drawn').scrollLeft = 10000")
    assert (page.js("return document.querySelector('#studies .drawn').scrollLeft") > 0) == (
        width < WIDE
    )


def test_the_theme_follows_the_system_and_the_button(page):
    page.open()
    paper = "return getComputedStyle(document.body).backgroundColor"
    line = "return getComputedStyle(document.querySelector('#curve-panels .mark-line path')).stroke"

    def both():
        return page.js(paper), page.js(line)

    light = both()
    assert page.brightness("#budget img") > 0.9
    page.show(theme="dark")
    dark = both()
    assert page.brightness("#budget img") < 0.2
    assert all(one != other for one, other in zip(light, dark, strict=True))
    button = page.one("#theme")
    button.click()
    assert (button.text, both()) == ("Theme: light", light)
    page.driver.refresh()
    page.until(lambda: page.js("return document.documentElement.dataset.ready") == "yes")
    assert both() == light
    page.one("#theme").click()
    page.show(theme="light")
    assert (page.one("#theme").text, both()) == ("Theme: dark", dark)
    assert page.brightness("#budget img") < 0.2
    page.one("#theme").click()
    assert both() == light


def test_print_is_light_opens_what_is_closed_and_drops_the_controls(page):
    page.open(theme="dark")
    page.js("addEventListener('beforeprint', () => { window.opened = "
            "document.querySelectorAll('details:not([open]):not(.columns)').length })")  # fmt: skip
    pdf = page.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert len(pdf["data"]) > 50_000
    assert page.js("return window.opened") == 0
    assert page.all("details:not([open])")
    page.show(theme="dark", media="print")
    for selector in (".bar", ".controls", ".columns", ".hint"):
        assert not any(element.is_displayed() for element in page.all(selector)), selector
    for box in page.all(".box"):
        assert page.js("const b = arguments[0]; return b.scrollHeight <= b.clientHeight + 2", box)
    assert page.js("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.brightness("#budget img") > 0.9
    assert all(shown <= place and stretched == pytest.approx(1, abs=0.01)
               for _, shown, stretched, place in page.js(SIZES))  # fmt: skip


def test_without_javascript_all_tables_are_there(page):
    disabled = "Emulation.setScriptExecutionDisabled"
    page.driver.execute_cdp_cmd(disabled, {"value": True})
    try:
        page.show()
        page.driver.get(page.layout.page().resolve().as_uri())
        text = page.one("main").text
        assert "Without JavaScript" in text
        for name in ("leaderboard", "curve-table", "study-method", "dataset-table", "run-table"):
            assert page.one(f"#{name}").is_displayed()
        assert page.one("#leaderboard th[data-key='effective_rank']").is_displayed()
        assert not any(control.is_displayed() for control in page.all(".controls, .chart, #theme"))
        assert [image.is_displayed() for image in page.all("img")] == [True] * 9
        assert len(page.all("#curves img")) == 2  # in the place of the charts
    finally:
        page.driver.execute_cdp_cmd(disabled, {"value": False})
