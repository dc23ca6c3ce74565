"""What a street camera makes of a plate: pose, light, lens, motion, sharpening, codec.

Everything happens at the camera's own resolution, where the plate is as few pixels wide as in
real frames; the samples that a model gets are cut from that, as on the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from plates import Plate, Rgb

Random = np.random.Generator
Quad = NDArray[np.float32]  # 4 x 2: upper left, upper right, lower right, lower left

NARROWEST_PX, WIDEST_PX = 30, 260


@dataclass(frozen=True, slots=True)
class Shot:
    """A plate in a small piece of a camera's picture, with its corners there in pixels."""

    image: Rgb
    corners: Quad
    width_px: float


def draw_width(rng: Random) -> float:
    """Plate widths as in streets: most between 40 and 110 px, some far smaller or larger."""
    return float(np.clip(np.exp(rng.normal(np.log(80), 0.38)), NARROWEST_PX, WIDEST_PX))


def pose(rng: Random, plate: Rgb, width_px: float) -> Quad:
    """Corners of a plate turned in space (yaw up to 45, pitch 30, roll 20 degrees), in px."""
    h, w = plate.shape[:2]
    spread = 1.0 if rng.random() < 0.35 else 0.35
    yaw, pitch, roll = np.radians(rng.normal(0, np.array([22, 13, 8]) * spread))
    yaw, pitch = np.clip(yaw, -0.8, 0.8), np.clip(pitch, -0.53, 0.53)
    roll = np.clip(roll, -0.36, 0.36)
    corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]], float) / (2 * w)
    points = np.column_stack([corners, np.zeros(4)])
    cy, sy, cx, sx = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    points = points @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]).T
    points = points @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]).T
    depth = rng.uniform(4, 14)  # plate widths away: how much nearer its near edge looks
    flat = points[:, :2] * (depth / (depth + points[:, 2:]))
    cr, sr = np.cos(roll), np.sin(roll)
    flat = flat @ np.array([[cr, -sr], [sr, cr]]).T
    return (flat * width_px).astype(np.float32)


def shoot(rng: Random, plate: Plate, width_px: float | None = None) -> Shot:
    """The plate in a piece of picture that reaches about a plate's height around it."""
    width = draw_width(rng) if width_px is None else width_px
    if plate.lines == 2 and plate.image.shape[1] < 2.2 * plate.image.shape[0]:
        width *= 0.62  # a square plate at the same distance
    quad = pose(rng, plate.image, width)
    tall = float(np.ptp(quad[:, 1]))
    margin = np.array([0.35 * tall + 3, 0.45 * tall + 3])
    size = np.ptp(quad, axis=0) + 2 * margin
    corners = quad - quad.min(axis=0) + margin + rng.uniform(-0.5, 0.5, 2).astype(np.float32)
    cols, rows = int(np.ceil(size[0])), int(np.ceil(size[1]))
    scene = surroundings(rng, rows, cols)
    paste(rng, scene, plate.image, corners.astype(np.float32))
    return Shot(camera(rng, scene), corners.astype(np.float32), width)


def surroundings(rng: Random, rows: int, cols: int) -> Rgb:
    """Paint, bumper and the dark holder around a plate."""
    paint = rng.integers(10, 245, 3)
    if rng.random() < 0.75:
        paint[:] = paint[0] + rng.integers(-12, 13, 3)  # most cars are white, grey or black
    rough = rng.normal(0, rng.uniform(2, 30), (3, 4, 3)) + paint
    scene = cv2.resize(rough.astype(np.float32), (cols, rows), interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(0, 4))):
        shade = tuple(map(float, np.clip(paint * rng.uniform(0, 1.6), 0, 255)))
        a = (int(rng.integers(-cols, cols)), int(rng.integers(0, rows)))
        b = (int(rng.integers(0, 2 * cols)), int(a[1] + rng.integers(-8, 9)))
        cv2.line(scene, a, b, shade, int(rng.integers(1, max(2, rows // 5))), cv2.LINE_AA)
    return np.clip(scene, 0, 255).astype(np.uint8)


def paste(rng: Random, scene: Rgb, plate: Rgb, corners: Quad) -> None:
    """Lay the plate with its holder's rim and its light into the scene, in place."""
    h, w = plate.shape[:2]
    across = float(np.hypot(*(corners[1] - corners[0])))
    factor = min(1.0, 1.25 * across / w)  # a coarse source first: warping alone would alias
    size = max(8, round(w * factor)), max(4, round(h * factor))
    small = cv2.resize(plate, size, interpolation=cv2.INTER_AREA)
    lit = _light(rng, small)
    rim = rng.uniform(0.0, 0.10) if rng.random() < 0.6 else 0.0
    centre = corners.mean(axis=0)
    source = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float32)
    if rim > 0:
        up = (corners - centre) * np.array([1 + rim * 0.5, 1 + rim * 2.2], np.float32) + centre
        dark = tuple(int(v) for v in rng.integers(0, 70, 1).repeat(3))
        cv2.fillConvexPoly(scene, np.round(up * 16).astype(np.int32), dark, cv2.LINE_AA, 4)
    matrix = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    shape = scene.shape[1], scene.shape[0]
    warped = cv2.warpPerspective(lit, matrix, shape, flags=cv2.INTER_LINEAR)
    mask = np.full(lit.shape[:2], 255, np.uint8)
    cover = cv2.warpPerspective(mask, matrix, shape, flags=cv2.INTER_LINEAR)
    scene[:] = cv2.blendLinear(
        scene, warped, (255 - cover).astype(np.float32), cover.astype(np.float32)
    )


def _light(rng: Random, plate: Rgb) -> Rgb:
    """Shadows with an edge, slow gradients, glare."""
    h, w = plate.shape[:2]
    kind = rng.random()
    if kind > 0.5:
        return plate
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along = (x / w - 0.5) * np.cos(angle) + (y / h - 0.5) * np.sin(angle)
    if kind < 0.2:
        dim = 1 / (1 + np.exp(-(along - rng.uniform(-0.4, 0.4)) * rng.uniform(8, 60)))
        shade = rng.uniform(0.35, 0.8)
        light = shade + (1 - shade) * dim
        return np.clip(plate * light[..., None], 0, 255).astype(np.uint8)
    if kind < 0.36:
        light = 1 + along * rng.uniform(0.2, 1.0)
        return np.clip(plate * light[..., None], 0, 255).astype(np.uint8)
    cx, cy = rng.uniform(0, 1, 2)
    spot = np.exp(-(((x / w - cx) * 2.5) ** 2 + (y / h - cy) ** 2) * rng.uniform(2, 12))
    return np.clip(plate + spot[..., None] * rng.uniform(30, 170), 0, 255).astype(np.uint8)


def camera(rng: Random, image: Rgb, *, night: float = 0.2, dim: float = 0.4) -> Rgb:
    """Lens, sensor, sharpening and codec of a street camera, by day or by infrared night.

    `night` is how probable the night is, `dim` the least gain by day. Pictures are of all
    qualities, from nearly clean to what nobody reads: the good ones teach the shapes, the bad
    ones not to be sure.
    """
    harsh = rng.uniform(0.1, 1.0)
    picture = image.astype(np.float32)
    infrared = rng.random() < night
    if infrared:
        picture = _infrared(rng, picture)
    else:
        gain, lift = rng.uniform(1 - (1 - dim) * harsh, 1.15), rng.uniform(-12, 28) * harsh
        picture = picture * np.float32(gain) + np.float32(lift)
        if rng.random() < 0.4:
            picture = picture * (1 + rng.normal(0, 0.06, 3).astype(np.float32))
        if rng.random() < 0.5:
            mean = picture.mean()
            contrast = 1 + harsh * rng.uniform(-0.45, 0.4)
            picture = (picture - mean) * np.float32(contrast) + mean
    if rng.random() < 0.8:
        sigma = (0.25 + harsh) * rng.gamma(2.0, 0.21) + 0.05
        picture = cv2.GaussianBlur(picture, (0, 0), float(sigma))
    if rng.random() < 0.4 * harsh:
        picture = _smear(rng, picture)
    if rng.random() < 0.4:  # a sensor or stream coarser than the picture it is sent as
        picture = _resampled(rng, picture, 1 - 0.45 * harsh)
    grain = harsh * rng.gamma(1.5, 2.4) * (1.8 if infrared else 1.0)
    noise = rng.standard_normal(picture.shape[:2], np.float32) * np.float32(grain)
    picture = picture + noise[..., None]
    if not infrared and rng.random() < 0.3:
        colour = rng.standard_normal(picture.shape, np.float32) * np.float32(0.6 * grain)
        picture = picture + colour
    if rng.random() < 0.55:  # the halo of cameras set too sharp
        sigma, amount = rng.uniform(0.7, 2.0), rng.gamma(2.0, 0.55)
        picture = picture + np.float32(amount) * (
            picture - cv2.GaussianBlur(picture, (0, 0), sigma)
        )
    out = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.12:
        out = np.repeat(out.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    return codec(rng, out, 82 - 28 * harsh)


def _infrared(rng: Random, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey; the plate throws the lamp's light straight back, all else is dark."""
    grey = picture.mean(axis=2, keepdims=True)
    dark = grey * rng.uniform(0.15, 0.7)
    glow = np.where(grey > 120, grey * rng.uniform(0.8, 1.6), dark)
    if rng.random() < 0.5:
        bloom = np.clip(glow - 190, 0, None)[..., 0]
        spread = cv2.GaussianBlur(bloom, (0, 0), float(rng.uniform(1.0, 5.0)))
        glow = glow + spread[..., None] * rng.uniform(0.3, 1.3)
    return np.repeat(glow, 3, axis=2).astype(np.float32)


def _smear(rng: Random, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.clip(rng.gamma(1.6, 1.1), 0.5, 6))
    size = int(np.ceil(length)) * 2 + 1
    kernel = np.zeros((size, size), np.float32)
    angle = rng.normal(0, 0.5) if rng.random() < 0.6 else rng.uniform(0, np.pi)
    middle = size // 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    a = tuple(int(v) for v in np.round((middle - reach) * 16))
    b = tuple(int(v) for v in np.round((middle + reach) * 16))
    cv2.line(kernel, a, b, 1.0, 1, cv2.LINE_8, 4)
    return cv2.filter2D(picture, -1, kernel / max(kernel.sum(), 1e-6))


def _resampled(rng: Random, picture: NDArray[np.float32], least: float) -> NDArray[np.float32]:
    rows, cols = picture.shape[:2]
    factor = rng.uniform(least, 1.0)
    small = max(4, round(cols * factor)), max(4, round(rows * factor))
    coarse = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    way = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    return cv2.resize(coarse, (cols, rows), interpolation=way)


def codec(rng: Random, image: Rgb, mean: float = 60) -> Rgb:
    """JPEG blocks at a chance place of the grid; smeared, as a video codec's loop filter does."""
    out = image
    for _ in range(1 if rng.random() < 0.7 else 2):
        dx, dy = rng.integers(0, 8, 2)
        padded = cv2.copyMakeBorder(out, int(dy), 0, int(dx), 0, cv2.BORDER_REPLICATE)
        quality = int(np.clip(rng.normal(mean, 18), 15, 95))
        blob = cv2.imencode(".jpg", padded, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        out = cv2.imdecode(blob, cv2.IMREAD_COLOR)[int(dy) :, int(dx) :]
    if rng.random() < 0.2:
        out = cv2.bilateralFilter(np.ascontiguousarray(out), 3, float(rng.uniform(8, 40)), 2.0)
    return np.ascontiguousarray(out)


def straightened(image: Rgb, corners: Quad, size: tuple[int, int], margin: float) -> Rgb:
    """The plate as the reader gets it: size (width, height), with a margin in parts of each side.

    The same mathematics as `agent.plates.straighten`, which a test holds it to.
    """
    w, h = size
    mx, my = w * margin, h * margin
    target = np.array([[mx, my], [w - mx, my], [w - mx, h - my], [mx, h - my]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32) - 0.5, target - 0.5)
    return cv2.warpPerspective(
        image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def found_corners(rng: Random, corners: Quad) -> Quad:
    """Corners as a detector finds them: a little off, or only an upright box around the plate."""
    centre = corners.mean(axis=0)
    wide = float(np.hypot(*(corners[1] - corners[0])))
    high = float(np.hypot(*(corners[3] - corners[0])))
    if rng.random() < 0.2:
        low, top = corners.min(axis=0), corners.max(axis=0)
        corners = np.array([low, [top[0], low[1]], top, [low[0], top[1]]], np.float32)
    both = rng.normal(0, [0.015 * wide, 0.05 * high], 2)
    each = rng.normal(0, [0.015 * wide, 0.05 * high], (4, 2))
    zoom = np.clip(rng.normal([1.0, 1.02], [0.025, 0.06]), 0.85, 1.3)
    return ((corners - centre) * zoom + centre + both + each).astype(np.float32)
