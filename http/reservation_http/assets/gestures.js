/** Turns what pointers and the wheel do to an element into pans, zooms, hovers and taps. */

/** Movement after which a press is a drag, CSS pixels; a finger is less steady than a mouse. */
const DRAG = { mouse: 4, touch: 9 };
/** How much a turn of the wheel by one pixel zooms; pinching on a touchpad sends small turns. */
const WHEEL = 0.0016;
const WHEEL_PINCH = 0.01;
/** Pixels of a line, and of a page, that a wheel may count in instead. */
const WHEEL_UNITS = [1, 16, 400];

/**
 * @param {HTMLElement} element
 * @param {object} on points are relative to the element
 * @param {(dx: number, dy: number) => void} on.pan
 * @param {(factor: number, x: number, y: number) => void} on.zoom
 * @param {(x: number, y: number, touch: boolean) => void} on.tap
 * @param {(x: number, y: number) => void} on.hover
 * @param {() => void} on.leave
 * @param {AbortSignal} signal ends it
 */
export function listenToGestures(element, on, signal) {
  /** @type {Map<number, {x: number, y: number}>} */
  const pointers = new Map();
  let dragging = false;
  let travelled = 0;

  const point = (/** @type {MouseEvent} */ event) => {
    const { left, top } = element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const listen = (/** @type {string} */ name, /** @type {(event: any) => void} */ take, passive = true) =>
    element.addEventListener(name, take, { signal, passive });

  listen("pointerdown", (/** @type {PointerEvent} */ event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, point(event));
    if (pointers.size === 1) [dragging, travelled] = [false, 0];
    else dragging = true;
  });

  listen("pointermove", (/** @type {PointerEvent} */ event) => {
    const to = point(event);
    const from = pointers.get(event.pointerId);
    if (!from) {
      if (event.pointerType !== "touch") on.hover(to.x, to.y);
      return;
    }
    pointers.set(event.pointerId, to);
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1] ?? to;
      const before = Math.hypot(from.x - other.x, from.y - other.y);
      const after = Math.hypot(to.x - other.x, to.y - other.y);
      on.pan(dx / 2, dy / 2);
      if (before > 0) on.zoom(after / before, (to.x + other.x) / 2, (to.y + other.y) / 2);
      return;
    }
    travelled += Math.hypot(dx, dy);
    dragging ||= travelled > (event.pointerType === "touch" ? DRAG.touch : DRAG.mouse);
    if (dragging) {
      element.dataset.dragging = "";
      on.leave();
      on.pan(dx, dy);
    }
  });

  const release = (/** @type {PointerEvent} */ event) => {
    const at = pointers.get(event.pointerId);
    pointers.delete(event.pointerId);
    delete element.dataset.dragging;
    if (at && !dragging && event.type === "pointerup") on.tap(at.x, at.y, event.pointerType === "touch");
  };
  listen("pointerup", release);
  listen("pointercancel", release);
  listen("pointerleave", () => on.leave());

  listen(
    "wheel",
    (/** @type {WheelEvent} */ event) => {
      event.preventDefault();
      const { x, y } = point(event);
      const turned = event.deltaY * WHEEL_UNITS[event.deltaMode];
      on.zoom(Math.exp(-turned * (event.ctrlKey ? WHEEL_PINCH : WHEEL)), x, y);
    },
    false,
  );
}
