"""Maps coordinates between the policy's frame, device pixels, the window, the page and its iframes.

    frame       the picture that the policy saw, W x H pixels; actions are fractions of it
    captured    the screenshot before it was cropped and scaled to the frame, in device pixels
    input       the browser's own unit for mouse events, from the window's corner: CSS pixels of the top document, which
                the browser's own zoom (Ctrl and +) and a pinch enlarge as they enlarge the picture
    page        CSS pixels of a document (clientX, getBoundingClientRect), which zoom and iframes scale and shift

Mouse input goes to the window and needs neither zoom nor scroll nor iframes. They matter when a place that a page
reports (an element, a recorded event) is mapped to the frame: see `Offset`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from showonce.actions import to_pixel

if TYPE_CHECKING:
    from playwright.async_api import Frame

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class View:
    """How one screenshot became a frame.

    width, height: of the frame in pixels. crop: the part of the screenshot that is shown, in device pixels. scale:
    device pixels of one input unit.
    """

    width: int
    height: int
    crop: Box
    scale: float

    def to_frame_pixel(self, x: float, y: float) -> tuple[int, int]:
        """Return the pixel (column, row) of a place given in fractions of the frame."""
        return to_pixel(x, self.width), to_pixel(y, self.height)

    def to_input(self, x: float, y: float) -> tuple[float, float]:
        """Return where the mouse has to go for a place of the frame: the centre of its pixel, in input units."""
        column, row = self.to_frame_pixel(x, y)
        left, top, right, bottom = self.crop
        device_x = left + (column + 0.5) / self.width * (right - left)
        device_y = top + (row + 0.5) / self.height * (bottom - top)
        return device_x / self.scale, device_y / self.scale

    def to_fraction(self, x: float, y: float) -> tuple[float, float]:
        """Map a place in input units to fractions of the frame; outside of [0, 1] when it is not shown."""
        left, top, right, bottom = self.crop
        return (x * self.scale - left) / (right - left), (y * self.scale - top) / (bottom - top)


def view_of(captured: tuple[int, int], scale: float, crop: Box | None, frame: tuple[int, int] | None) -> View:
    """Return the view of a screenshot of `captured` device pixels.

    crop: in input units, None = all of it. frame: the size to which it is scaled, None = as it is.
    """
    width, height = captured
    box: Box = (0.0, 0.0, float(width), float(height))
    if crop is not None:
        left, top, right, bottom = (round(value * scale) for value in crop)
        box = (float(left), float(top), float(min(right, width)), float(min(bottom, height)))
    size = frame or (int(box[2] - box[0]), int(box[3] - box[1]))
    return View(*size, box, scale)


# Where a frame element's content begins in its own document, and how much larger it is drawn than its document thinks:
# CSS zoom reaches into iframes, a transform scales them from outside. Borders are snapped to whole device pixels, which
# their computed width knows and clientLeft does not; sizes are rounded, so a scale near 1 is 1.
CONTENT: Final = """element => {
  const r = element.getBoundingClientRect(), s = getComputedStyle(element), zoom = element.currentCSSZoom || 1;
  const scaled = (drawn, own) => {
    const factor = own ? drawn / (own * zoom) : 1;
    return Math.abs(factor - 1) < 0.02 ? 1 : factor;
  };
  const sx = zoom * scaled(r.width, element.offsetWidth), sy = zoom * scaled(r.height, element.offsetHeight);
  return [r.left + (parseFloat(s.borderLeftWidth) + parseFloat(s.paddingLeft)) * sx,
          r.top + (parseFloat(s.borderTopWidth) + parseFloat(s.paddingTop)) * sy, sx, sy];
}"""
# Which part of the top document the window shows after a pinch.
_WINDOW: Final = """() => {
  const v = window.visualViewport;
  return v ? [v.offsetLeft, v.offsetTop] : [0, 0];
}"""


@dataclass(frozen=True)
class Offset:
    """How the client coordinates of a document become input units: ``input = origin + client * factor``."""

    x: float = 0.0
    y: float = 0.0
    factor_x: float = 1.0
    factor_y: float = 1.0

    def inside(self, outer: Offset) -> Offset:
        """Return the offset of a document that lies so in another one, which lies as `outer` says."""
        x, y = outer.to_input(self.x, self.y)
        return Offset(x, y, self.factor_x * outer.factor_x, self.factor_y * outer.factor_y)

    def to_input(self, x: float, y: float) -> tuple[float, float]:
        """Map a place in the document to input units."""
        return self.x + x * self.factor_x, self.y + y * self.factor_y


async def offset_of(frame: Frame) -> Offset:
    """Return where a frame's document lies in the window, through all iframes around it, also of other origins."""
    x = y = 0.0
    factor_x = factor_y = 1.0
    while frame.parent_frame is not None:
        element = await frame.frame_element()
        left, top, scale_x, scale_y = await element.evaluate(CONTENT)
        x, y = left + x * scale_x, top + y * scale_y
        factor_x, factor_y = factor_x * scale_x, factor_y * scale_y
        frame = frame.parent_frame
    left, top = await frame.evaluate(_WINDOW)
    return Offset(x - left, y - top, factor_x, factor_y)


def image_size(value: Any) -> tuple[int, int] | None:
    """Return a setting such as 112 or [320, 240] as a size; 0 and None mean none. Raises ValueError."""
    if not value:
        return None
    pair = (value, value) if isinstance(value, int) and not isinstance(value, bool) else tuple(value)
    if len(pair) != 2 or not all(isinstance(n, int) and 8 <= n <= 8192 for n in pair):
        raise ValueError(f"{value!r} is not a size in pixels")
    return pair[0], pair[1]
