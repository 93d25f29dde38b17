"""A hall of 10,000 seats: how fast it is there, and how smoothly it moves."""

from collections.abc import Callable
from statistics import median

from tests.browser.conftest import Person, Site
from tests.browser.hall import Hall

SEATS = 10_000
#: What may pass from the seats' arrival to their being drawn.
DRAWN_MS = 500
#: Frames a second while it is panned.
FRAMES = 30

#: Notes when the first snapshot arrives, before the page hears of it.
ARRIVAL = """
window.EventSource = class extends EventSource {
    constructor(...rest) {
        super(...rest)
        this.addEventListener("snapshot", () => (window.arrived ??= performance.now()))
    }
}"""
#: Resolves to the page's own measure of its first drawing: when it ended, ms.
DRAWN = """() => new Promise(resolve => {
    const observer = new PerformanceObserver(list => {
        const [entry] = list.getEntriesByName("seats:draw")
        if (entry) resolve(entry.startTime + entry.duration - window.arrived)
    })
    observer.observe({type: "measure", buffered: true})
})"""
#: Counts how many pixels of the map are of which colour, as far as it is not empty.
COLOURS = """() => {
    const canvas = document.getElementById("canvas")
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
    let drawn = 0
    for (let i = 3; i < data.length; i += 4) drawn += data[i] > 0
    return drawn / (canvas.width * canvas.height)
}"""
#: Notes the time of each frame until told to stop.
FRAMES_BEGIN = """() => {
    window.frames_ = []
    const frame = now => {
        frames_.push(now)
        window.counting = requestAnimationFrame(frame)
    }
    window.counting = requestAnimationFrame(frame)
}"""
FRAMES_END = """() => {
    cancelAnimationFrame(window.counting)
    return window.frames_.slice(1).map((time, i) => time - window.frames_[i])
}"""


def test_all_seats_are_drawn_within_half_a_second(
    person: Callable[..., Person], site: Site, measured: Callable[[str], None]
) -> None:
    """From the snapshot's arrival to the frame that shows it. The best of several, on a busy machine."""
    event = site.create(SEATS)
    times: list[float] = []
    for _ in range(3):
        one = person()
        one.page.add_init_script(ARRIVAL)
        hall = Hall(one, event)
        times.append(float(hall.page.evaluate(DRAWN)))
        hall.counts(free=SEATS)
        assert hall.page.evaluate(COLOURS) > 0.2, "an empty map is drawn fast"
    measured(f"{SEATS:,} seats drawn in {min(times):.0f} to {max(times):.0f} ms")
    assert min(times) < DRAWN_MS


def test_panning_is_smooth(person: Callable[..., Person], site: Site, measured: Callable[[str], None]) -> None:
    """Dragged to and fro, whole and close up: at least 30 frames a second, the best of several."""
    hall = Hall(person(), site.create(SEATS))
    box = hall.grid.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    hall.find(SEATS // 2)
    for where, steps in (("close up", 0), ("half-way", 2), ("whole", 20)):
        for _ in range(steps):
            hall.page.get_by_role("button", name="Zoom out").click()
        rates: list[float] = []
        slowest: list[float] = []
        for _ in range(3):
            hall.page.mouse.move(x, y)
            hall.page.mouse.down()
            hall.page.evaluate(FRAMES_BEGIN)
            for dx, dy in ((-300, -200), (300, 200), (0, 0)):
                hall.page.mouse.move(x + dx, y + dy, steps=30)
            gaps: list[float] = hall.page.evaluate(FRAMES_END)
            hall.page.mouse.up()
            rates.append(1000 * len(gaps) / sum(gaps))
            slowest.append(sorted(gaps)[int(0.95 * len(gaps))])
        measured(
            f"{SEATS:,} seats panned, {where}: {max(rates):.0f} frames/s (median {median(rates):.0f}), "
            f"95 % of frames within {min(slowest):.0f} ms"
        )
        assert max(rates) >= FRAMES
        assert min(slowest) <= 1000 / FRAMES
    hall.counts(free=SEATS)
