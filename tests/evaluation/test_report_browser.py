"""The page of a report in a real browser, opened from its file, without a network."""

import io
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxsr.evaluation import report
from jaxsr.evaluation.report import Page

api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra dev")

NASTY = "<script>alert(1)</script>.png"
HEIGHT, WIDTH, SCALE = 96, 128, 4
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}

# As texts they sort otherwise: 9.5 after 10.25. None is infinite, and what lacks was not measured.
PSNR = {"bicubic": 9.5, "unmeasured": ..., "exact": "inf", "faint": 10.25}
LPIPS = {"bicubic": 0.25, "unmeasured": 0.5, "exact": 0.0, "faint": 0.125}


def chart() -> np.ndarray:
    """A picture whose red is x and whose green is y, so that every pixel says where it is from."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x, y, np.full_like(x, 40)], axis=-1).astype(np.uint8)


def figures(method, add=0.0):
    values = {"psnr_y": PSNR[method], "lpips": LPIPS[method], "shift_r": -0.5}
    if isinstance(values["psnr_y"], float):
        values["psnr_y"] += add
    return {name: value for name, value in values.items() if value is not ...}


def write_page(folder, called="", lacking=(), unseen=()):
    """A page of two pictures; `faint` has 8 levels of green too many in its upper half.

    `called` stands before the name of each method, `lacking` are metrics not measured, and of
    the pictures `unseen` there are only figures.
    """
    hr = chart()
    faint = hr.copy()
    faint[: HEIGHT // 2, :, 1] += 8
    made = {"bicubic": hr[:, ::-1], "unmeasured": 255 - hr, "exact": hr, "faint": faint}
    names = ["chart.png", NASTY]
    methods = {}
    with Page(folder) as page:
        for name in names:
            page.add_original(name, hr, hr[::SCALE, ::SCALE])
        for method, sr in made.items():
            for name in names:
                page.add(called + method, name, sr, hr)
            images = {name: figures(method, add=i) for i, name in enumerate([*names, *unseen])}
            mean = {n: v for n, v in figures(method).items() if n not in lacking}
            methods[called + method] = {"mean": mean, "images": images, "seconds": 1.0}
        about = {"dataset": f"{called}Chart", "scale": SCALE, "definition": "a; b"}
        page.write(about | {"methods": methods})
    return folder / "index.html"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(names)} is installed")
    with api.sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=program) as launched:
            yield launched


def open_tab(browser, viewport=DESKTOP, **options):
    """A tab, and the list that grows by what it asks for and complains of."""
    tab, complaints = browser.new_page(viewport=viewport, offline=True, **options), []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: complaints.append(request.url))
    return tab, complaints


def load(tab, path):
    tab.goto(path.as_uri())
    tab.wait_for_selector("#panes canvas")
    return tab


def is_silent(complaints, path):
    """Whether nothing was complained of, and nothing asked for but the page and what it holds."""
    return [line for line in complaints if not line.startswith("data:")] == [path.as_uri()]


@pytest.fixture(scope="module")
def tab(browser):
    return open_tab(browser)


@pytest.fixture
def page(tab, path):
    """The page as it is when it was just opened on a desk."""
    opened, complaints = tab
    complaints.clear()
    opened.mouse.move(0, 0)
    yield load(opened, path)
    assert is_silent(complaints, path), complaints


def column(page, table, number):
    cells = page.locator(f"#{table} tbody tr > :nth-child({number})")
    return cells.all_inner_texts()


def pixel(page, selector, x=0.5, y=0.5):
    """The colour of a canvas at a fraction of its sides."""
    script = """(canvas, [x, y]) => {
        const copy = new OffscreenCanvas(1, 1).getContext("2d");
        copy.drawImage(canvas, -Math.floor(x * canvas.width), -Math.floor(y * canvas.height));
        return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    return page.locator(selector).evaluate(script, [x, y])


def seen(page):
    """The colours in the middle of every pane: the input, the original, the methods."""
    count = page.locator("#panes canvas").count()
    return [pixel(page, f"#panes figure:nth-child({i + 1}) canvas") for i in range(count)]


def colours_at(x, y):
    """What `seen` gives of the loupe at a pixel of the chart."""
    lr = [x // SCALE * SCALE, y // SCALE * SCALE, 40]
    faint = [x, y + 8 * (y < HEIGHT // 2), 40]
    return [lr, [x, y, 40], [WIDTH - 1 - x, y, 40], [255 - x, 255 - y, 215], [x, y, 40], faint]


def hover(page, selector, x, y):
    """Moves the pointer over a pixel of the chart, shown whole by what `selector` names."""
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    scale = box["width"] / WIDTH
    page.mouse.move(box["x"] + (x + 0.5) * scale, box["y"] + (y + 0.5) * scale)


def test_figures_sort_as_numbers_in_both_directions(page):
    header = page.locator("#methods th").filter(has_text="PSNR Y")
    assert column(page, "methods", 2) == ["9.500", "–", "∞", "10.250"]
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"  # the best first
    assert column(page, "methods", 2) == ["∞", "10.250", "9.500", "–"]
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert column(page, "methods", 2) == ["9.500", "10.250", "∞", "–"]
    page.locator("#methods th").filter(has_text="LPIPS").get_by_role("button").click()
    assert column(page, "methods", 3) == ["0.0000", "0.1250", "0.2500", "0.5000"]
    page.locator("#methods th").filter(has_text="Method").get_by_role("button").click()
    assert column(page, "methods", 1) == ["bicubic", "exact", "faint", "unmeasured"]
    assert page.locator("[aria-sort]").count() == 1


def test_the_best_of_each_column_is_marked(page):
    assert page.locator("#methods .best").all_inner_texts() == ["∞", "0.0000"]
    assert page.locator("#methods .second").all_inner_texts() == ["10.250", "0.1250"]


def test_pictures_have_a_row_each_by_any_metric(page):
    assert column(page, "pictures", 1) == ["chart.png", NASTY]
    assert column(page, "pictures", 5) == ["10.250", "11.250"]
    page.select_option("#metric", label="LPIPS")
    assert column(page, "pictures", 5) == ["0.1250", "0.1250"]
    widths = page.locator("#pictures img").evaluate_all("all => all.map(i => i.naturalWidth)")
    assert widths == [112, 112]
    page.get_by_role("button", name=NASTY).click()
    assert page.locator("#picture").input_value() == "1"
    assert page.locator("#upper").get_attribute("alt") == f"{NASTY}: faint"


def test_the_slider_uncovers_the_right_side(page):
    clip = "document.getElementById('over').style.clipPath"
    assert page.evaluate(clip) == "inset(0px 0px 0px 50%)"
    page.locator("#stage").scroll_into_view_if_needed()
    box = page.locator("#stage").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle)
    page.mouse.up()
    share = float(page.locator("#split").input_value())
    assert share == pytest.approx(25, abs=0.5)
    assert page.evaluate(clip) == f"inset(0px 0px 0px {share:g}%)"
    page.locator("#split").press("ArrowRight")
    assert float(page.locator("#split").input_value()) == pytest.approx(share + 1)
    page.locator("#split").press("Home")
    assert page.evaluate(clip) == "inset(0px 0px 0px 0%)"


def test_each_side_lies_on_its_side_of_the_slider(page):
    page.select_option("#left", label="exact")
    page.select_option("#right", label="unmeasured")
    assert brightness(page) == ("dark", "bright")
    page.keyboard.press("x")
    assert page.locator("#left-tag").inner_text() == "unmeasured"
    assert brightness(page) == ("bright", "dark")


def brightness(page):
    """What the stage shows at a quarter and three quarters of its width."""
    with Image.open(io.BytesIO(page.locator("#stage").screenshot())) as shot:
        width, height = shot.size
        colours = [shot.convert("RGB").getpixel((x * width // 4, height // 4)) for x in (1, 3)]
    return tuple("bright" if sum(colour) > 300 else "dark" for colour in colours)


@pytest.mark.parametrize("surface", ["#stage", "#left-map", "#right-map"])
def test_the_loupe_follows_the_pointer_in_all_panes(page, surface):
    for x, y in [(20, 30), (101, 77), (0, 0)]:
        hover(page, surface, x, y)
        assert page.locator("#where").inner_text() == f"Pixel {x}, {y}."
        assert seen(page) == colours_at(x, y)


def test_a_click_holds_the_loupe_and_another_lets_it_go(page):
    hover(page, "#stage", 20, 30)
    page.mouse.down()
    page.mouse.up()
    hover(page, "#stage", 100, 70)
    assert seen(page) == colours_at(20, 30)
    page.mouse.down()
    page.mouse.up()
    hover(page, "#stage", 101, 71)
    assert seen(page) == colours_at(101, 71)


def test_the_frames_lie_around_the_loupe(page):
    hover(page, "#stage", 40, 50)
    page.select_option("#magnification", "8")
    pane = page.locator("#panes canvas").first.bounding_box()["width"]
    for surface, frame in [("#stage", "#stage .frame"), ("#right-map", "#right-map + .frame")]:
        outer, inner = (page.locator(each).bounding_box() for each in (surface, frame))
        scale = outer["width"] / WIDTH
        assert inner["width"] == pytest.approx(pane / 8 * scale, abs=0.5)
        middle = inner["x"] + inner["width"] / 2 - outer["x"]
        assert middle == pytest.approx(40.5 * scale, abs=0.5)


def test_the_loupe_magnifies(page):
    hover(page, "#stage", 64, 40)
    red = {}
    for magnification in (2, 8):
        page.select_option("#magnification", str(magnification))
        ends = [pixel(page, "#panes figure:nth-child(2) canvas", x=x)[0] for x in (0.25, 0.75)]
        red[magnification] = ends[1] - ends[0]
    across = page.locator("#panes canvas").first.bounding_box()["width"]
    assert red == {k: pytest.approx(across / 2 / k, abs=1.01) for k in (2, 8)}


def test_keys_move_loupe_picture_and_zoom(page):
    page.keyboard.press("ArrowRight")
    assert page.locator("#picture").input_value() == "1"
    page.keyboard.press("ArrowRight")  # and round
    page.keyboard.press("n")
    page.keyboard.press("p")
    assert page.locator("#picture").input_value() == "0"
    hover(page, "#stage", 20, 30)
    page.locator("#stage").focus()
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    assert seen(page) == colours_at(20 + 17, 30 + 16)
    assert page.locator("#picture").input_value() == "0"
    before = page.locator("#under").bounding_box()["width"]
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert page.locator("#under").bounding_box()["width"] == 4 * before
    page.keyboard.press("0")
    assert page.locator("#under").bounding_box()["width"] == before


def test_the_zoomed_picture_is_dragged_under_the_pointer(page):
    hover(page, "#stage", 64, 48)
    page.locator("#in").click()
    page.locator("#in").click()
    page.mouse.move(0, 0)
    start = page.locator("#under").bounding_box()
    stage = page.locator("#stage").bounding_box()
    page.mouse.move(stage["x"] + 100, stage["y"] + 100)
    page.mouse.down()
    page.mouse.move(stage["x"] + 130, stage["y"] + 80)
    page.mouse.up()
    end = page.locator("#under").bounding_box()
    assert (end["x"] - start["x"], end["y"] - start["y"]) == (30, -20)
    where = page.locator("#where").inner_text()
    page.mouse.move(stage["x"] + 60, stage["y"] + 60)
    assert page.locator("#where").inner_text() != where  # the drag was no click that holds
    page.mouse.move(stage["x"] + 50, stage["y"] + 50)
    page.mouse.down()
    page.mouse.move(stage["x"] + 3000, stage["y"] + 50, steps=4)
    page.mouse.up()
    assert page.locator("#under").bounding_box()["x"] == pytest.approx(stage["x"])


def test_the_difference_map_shows_errors_of_y_at_the_stated_scale(page):
    page.select_option("#left", label="exact")
    page.select_option("#right", label="faint")
    assert pixel(page, "#left-map") == [0, 0, 4]
    assert pixel(page, "#right-map", y=0.75) == [0, 0, 4]
    # 8 levels of green are 4.03 of Y: of 8 levels a little above half of the colours.
    page.select_option("#full", "8")
    np.testing.assert_allclose(pixel(page, "#right-map", y=0.25), [188, 55, 84], atol=2)
    page.select_option("#right", label="bicubic")
    assert pixel(page, "#right-map", x=0) == [252, 255, 164]


def test_the_plane_has_a_point_for_each_method_measured_by_both(page):
    points = page.locator("#plane g").evaluate_all(
        """all => all.map((g) => [g.textContent,
            ...["cx", "cy"].map((name) => Number(g.firstChild.getAttribute(name)))])"""
    )
    names, x, y = zip(*points, strict=True)
    assert names == ("bicubic", "faint")  # the others have no finite PSNR
    assert x[1] > x[0] and y[1] < y[0]  # more PSNR to the right, less LPIPS up
    label = page.locator("#plane").get_attribute("aria-label")
    assert label == "PSNR Y and LPIPS of bicubic: 9.500 dB, 0.2500; faint: 10.250 dB, 0.1250"


def test_without_lpips_the_plane_says_why(browser, tmp_path):
    path = write_page(tmp_path, lacking=("lpips",))
    tab, _ = open_tab(browser)
    load(tab, path)
    assert "LPIPS was not measured (--lpips)." in tab.inner_text("#plane-note")
    assert not tab.locator("#plane").is_visible()
    tab.context.close()


def test_of_pictures_without_pixels_only_figures_are_shown(browser, tmp_path, monkeypatch):
    images = re.findall(r'id="image-\d+">([^<]*)<', write_page(tmp_path).read_text())
    monkeypatch.setattr(report, "LIMIT", 0.75 * sum(map(len, images)))
    tab, complaints = open_tab(browser)
    load(tab, write_page(tmp_path, unseen=["unseen.png"]))
    for said, plots in [("beyond the size", True), ("not in the report", False)]:
        for key in ("n", "x", "+", "0"):
            tab.keyboard.press(key)
        tab.set_viewport_size(PHONE if plots else DESKTOP)
        assert said in tab.inner_text("#about")
        assert not tab.locator("#viewer, #maps, #ramp").filter(visible=True).count()
        assert tab.locator("#histogram").is_visible() == plots
    tab.keyboard.press("n")
    tab.locator("#stage").wait_for()
    assert tab.locator("#left-tag").inner_text() == "bicubic"  # as they were swapped twice
    tab.context.close()
    assert is_silent(complaints, tmp_path / "index.html"), complaints


def test_the_plots_have_a_line_for_each_method(page):
    assert page.locator("#histogram polyline").count() == 4
    assert page.locator("#spectrum polyline").count() == 5
    peak = "svg => Math.min(...[...svg.querySelectorAll('polyline')[2].points].map(p => p.y))"
    assert page.locator("#histogram").evaluate(peak) == pytest.approx(24, abs=0.1)  # all at zero
    strong = page.locator("#spectrum .strong")
    assert strong.count() == 3  # the original and those that are compared


@pytest.mark.parametrize("called", ["", "runs/" + 9 * "a_long_name_with_no_space"])
def test_a_phone_shows_all_without_scrolling_sideways(browser, tmp_path, called):
    path = write_page(tmp_path, called)
    phone, complaints = open_tab(browser, PHONE, is_mobile=True, has_touch=True)
    load(phone, path)
    width = "[document.documentElement.scrollWidth, visualViewport.width, innerWidth]"
    assert phone.evaluate(width) == [360, 360, 360]
    box = phone.locator("#stage").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 360
    phone.locator("#stage").scroll_into_view_if_needed()
    box = phone.locator("#stage").bounding_box()
    scale = box["width"] / WIDTH
    phone.touchscreen.tap(box["x"] + 30.5 * scale, box["y"] + 20.5 * scale)
    assert seen(phone) == colours_at(30, 20)
    phone.context.close()
    assert is_silent(complaints, path), complaints


def test_dark_and_light_follow_the_system_and_the_choice(browser, path):
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    tabs = [open_tab(browser, color_scheme=scheme)[0] for scheme in ("light", "dark")]
    papers = [load(each, path).evaluate(paper) for each in tabs]
    assert papers == ["rgb(253, 253, 251)", "rgb(23, 24, 27)"]
    for each, choice in zip(tabs, ("dark", "light"), strict=True):
        each.select_option("#theme", choice)
    assert [each.evaluate(paper) for each in tabs] == papers[::-1]
    for each in tabs:
        each.context.close()


def test_all_that_is_operated_has_a_name_and_shows_its_focus(page):
    reached = []
    script = """() => {
        const at = document.activeElement, shown = at.id === "split" ? at.parentElement : at;
        const name = at.ariaLabel || at.labels?.[0]?.innerText || at.innerText;
        return at === document.body ? null : [at.id, name, getComputedStyle(shown).outlineStyle];
    }"""
    page.keyboard.press("Tab")
    while found := page.evaluate(script):
        reached.append(found)
        page.keyboard.press("Tab")
    operated = "button:enabled, select, input, summary, [tabindex='0']"
    assert len(reached) == page.locator(operated).count()
    assert [found for found in reached if not found[1].strip() or found[2] != "solid"] == []
