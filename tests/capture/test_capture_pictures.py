"""Planes to RGB and luma, held against conversions written out another way."""

import av
import cv2
import numpy as np
import pytest
from drawn import drawn_clip

from agent.capture.clip import ClipSource
from agent.capture.pictures import RgbPicture, YuvPicture
from agent.clock import ManualClock
from agent.records import WHOLE, Box, Frame

WIDTH, HEIGHT = 64, 48


def waves(height, width, low=16, high=235, seed=0):
    """A smooth plane that uses the whole range: interpolation differs little on it."""
    y, x = np.mgrid[0:height, 0:width]
    wave = np.sin((x + 7 * seed) / width * 5) * np.cos((y + 3 * seed) / height * 4)
    return np.uint8((wave + 1) / 2 * (high - low) + low)


def planes(width=WIDTH, height=HEIGHT, low=16, high=235):
    chroma = (height + 1) // 2, (width + 1) // 2
    return (
        waves(height, width, low, high),
        waves(*chroma, low, high, seed=1),
        waves(*chroma, low, high, seed=2),
    )


def mild_planes(width=WIDTH, height=HEIGHT):
    """Colours that no step of a conversion clips, so that the order of steps does not matter."""
    chroma = (height + 1) // 2, (width + 1) // 2
    return (
        waves(height, width, 70, 190),
        waves(*chroma, 104, 152, seed=1),
        waves(*chroma, 104, 152, seed=2),
    )


def reference(y, u, v, *, full_range=False, bt709=False):
    """RGB by the formulas of ITU-R BT.601/709 for one sample at a time, chroma interpolated."""
    u, v = (
        cv2.resize(p.astype(np.float64), y.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for p in (u, v)
    )
    y = y.astype(np.float64)
    if full_range:
        y, pb, pr = y / 255, (u - 128) / 255, (v - 128) / 255
    else:
        y, pb, pr = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    kr, kb = (0.2126, 0.0722) if bt709 else (0.299, 0.114)
    red, blue = y + 2 * (1 - kr) * pr, y + 2 * (1 - kb) * pb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    rgb = np.stack([red, green, blue], axis=-1) * 255
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def av_frame(layout, *channels, color_range=None, colorspace=None):
    """A decoder's frame with padded rows, as real ones have."""
    frame = av.VideoFrame(channels[0].shape[1], channels[0].shape[0], layout)
    for plane, samples in zip(frame.planes, channels, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        flat = samples.reshape(samples.shape[0], -1)
        rows[: flat.shape[0], : flat.shape[1]] = flat
        plane.update(rows.tobytes())
    if color_range:
        frame.color_range = color_range
    if colorspace:
        frame.colorspace = colorspace
    return frame


def assert_near(ours, theirs, most=2):
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= most


def whole(picture):
    return picture.rgb(WHOLE, picture.width_px, picture.height_px)


@pytest.mark.parametrize("bt709", [False, True])
def test_yuv420p_is_coloured_as_the_standard_says(bt709):
    y, u, v = planes()
    frame = av_frame("yuv420p", y, u, v, colorspace=1 if bt709 else 5)
    assert_near(whole(YuvPicture.from_av(frame)), reference(y, u, v, bt709=bt709))


def test_yuv420p_agrees_with_opencv():
    y, u, v = planes()
    packed = np.concatenate([y.ravel(), u.ravel(), v.ravel()]).reshape(-1, WIDTH)
    theirs = cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420)
    ours = whole(YuvPicture.from_i420(packed.tobytes(), WIDTH, HEIGHT))
    # OpenCV repeats chroma where we interpolate: equal on the mean, near everywhere.
    assert np.abs(ours.astype(int).mean(axis=(0, 1)) - theirs.mean(axis=(0, 1))).max() < 1
    assert_near(ours, theirs, most=24)


@pytest.mark.parametrize(("layout", "color_range"), [("yuvj420p", None), ("yuv420p", 2)])
def test_full_range_is_not_stretched(layout, color_range):
    y, u, v = planes(low=0, high=255)
    frame = av_frame(layout, y, u, v, color_range=color_range)
    assert_near(whole(YuvPicture.from_av(frame)), reference(y, u, v, full_range=True))


def test_nv12_is_coloured_like_its_planar_twin():
    y, u, v = planes()
    frame = av_frame("nv12", y, np.stack([u, v], axis=-1))
    assert_near(whole(YuvPicture.from_av(frame)), reference(y, u, v))


@pytest.mark.parametrize(("layout", "across", "down"), [("yuv422p", 2, 1), ("yuv444p", 1, 1)])
def test_finer_chroma_is_used(layout, across, down):
    y = waves(HEIGHT, WIDTH)
    u, v = (waves(HEIGHT // down, WIDTH // across, seed=seed) for seed in (1, 2))
    assert_near(whole(YuvPicture.from_av(av_frame(layout, y, u, v))), reference(y, u, v))


@pytest.mark.parametrize("size", [(63, 47), (17, 31), (1, 1), (2, 3)])
def test_odd_sizes_keep_their_last_row_and_column(size):
    y, u, v = planes(*size)
    picture = YuvPicture.from_av(av_frame("yuv420p", y, u, v))
    assert (picture.width_px, picture.height_px) == size
    assert_near(whole(picture), reference(y, u, v))
    packed = b"".join(plane.tobytes() for plane in (y, u, v))
    assert_near(whole(YuvPicture.from_i420(packed, *size)), reference(y, u, v))


def test_i420_with_padded_rows_is_read_without_the_padding():
    y, u, v = planes(60, 40)
    padded = [np.pad(y, ((0, 0), (0, 4)), constant_values=255)]
    padded += [np.pad(plane, ((0, 0), (0, 2)), constant_values=255) for plane in (u, v)]
    packed = b"".join(plane.tobytes() for plane in padded)
    assert_near(whole(YuvPicture.from_i420(packed, 60, 40, 64)), reference(y, u, v))


@pytest.mark.parametrize("layout", ["yuv420p10le", "gray", "rgb24", "bgr24", "yuyv422"])
@pytest.mark.parametrize("color_range", [None, 2])
def test_other_layouts_are_converted_with_their_brightness_kept(layout, color_range):
    grey = np.repeat(np.repeat(waves(6, 8, 30, 220), 8, axis=0), 8, axis=1)
    drawn = av.VideoFrame.from_ndarray(np.stack([grey] * 3, axis=-1), format="rgb24")
    frame = drawn.reformat(format=layout, dst_color_range=color_range)
    if color_range and layout not in ("rgb24", "bgr24"):
        frame.color_range = color_range
    ours = whole(YuvPicture.from_av(frame))
    assert_near(ours, np.stack([grey] * 3, axis=-1), most=4)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_scaling_down_means_over_pixels(scale):
    y, u, v = mild_planes(128, 96)
    picture = YuvPicture.from_av(av_frame("yuv420p", y, u, v))
    full = reference(y, u, v).astype(np.float64)
    width, height = 128 // scale, 96 // scale
    means = full.reshape(height, scale, width, scale, 3).mean(axis=(1, 3))
    assert_near(picture.rgb(WHOLE, width, height), means, most=4)


def test_fine_stripes_scaled_down_become_grey_not_moire():
    y = np.zeros((240, 320), np.uint8)
    y[:, ::2] = 255
    grey = np.full((120, 160), 128, np.uint8)
    picture = YuvPicture(y, [grey, grey], full_range=True)
    assert_near(picture.luma(64), np.full((48, 64), 127, np.uint8), most=3)
    assert_near(picture.rgb(WHOLE, 70, 52), np.full((52, 70, 3), 127, np.uint8), most=14)


def test_scaling_up_keeps_the_picture():
    y, u, v = mild_planes()
    picture = YuvPicture.from_av(av_frame("yuv420p", y, u, v))
    bigger = cv2.resize(reference(y, u, v), (192, 144), interpolation=cv2.INTER_LINEAR)
    assert_near(picture.rgb(WHOLE, 192, 144), bigger, most=4)


def test_box_is_cut_out_where_it_says():
    y, u, v = planes(128, 96)
    picture = YuvPicture.from_av(av_frame("yuv420p", y, u, v))
    part = picture.rgb(Box(x0=0.25, y0=0.5, x1=0.75, y1=1.0), 64, 48)
    assert_near(part, reference(y, u, v)[48:96, 32:96], most=4)


@pytest.mark.parametrize("kind", ["yuv", "rgb"])
def test_box_over_the_edge_is_black_outside(kind):
    y, u, v = planes(128, 96, low=80)
    pixels = reference(y, u, v)
    picture = RgbPicture(pixels) if kind == "rgb" else YuvPicture(y, [u, v], full_range=False)
    part = picture.rgb(Box(x0=-0.5, y0=-0.25, x1=0.5, y1=0.75), 128, 96)
    assert not part[:24].any()
    assert not part[:, :64].any()
    assert_near(part[24:, 64:], pixels[:72, :64], most=4)
    beyond = picture.rgb(Box(x0=0.75, y0=0.5, x1=1.75, y1=1.5), 128, 96)
    assert not beyond[48:].any()
    assert not beyond[:, 32:].any()
    assert_near(beyond[:48, :32], pixels[48:, 96:], most=4)


@pytest.mark.parametrize("kind", ["yuv", "rgb"])
@pytest.mark.parametrize(
    "box",
    [
        Box(x0=1.2, y0=0.2, x1=1.6, y1=0.6),
        Box(x0=-3, y0=-3, x1=-2, y1=-2),
        Box(x0=0.5, y0=0.5, x1=0.5, y1=0.8),
        Box(x0=0.8, y0=0.2, x1=0.2, y1=0.6),
        Box(x0=-1e6, y0=-1e6, x1=0.001, y1=0.001),
    ],
    ids=["right-of-it", "far-off", "no-width", "inside-out", "a-corner-of-a-huge-one"],
)
def test_box_with_nothing_of_the_picture_is_black(kind, box):
    y, u, v = planes(low=80)
    pixels = reference(y, u, v)
    picture = RgbPicture(pixels) if kind == "rgb" else YuvPicture(y, [u, v], full_range=False)
    assert not picture.rgb(box, 20, 10).any()


def test_box_smaller_than_a_pixel_still_gives_the_size_asked_for():
    picture = YuvPicture(*planes()[:1], planes()[1:], full_range=False)
    part = picture.rgb(Box(x0=0.999, y0=0.999, x1=0.9995, y1=0.9995), 7, 5)
    assert part.shape == (5, 7, 3)
    assert part.any()


def test_luma_is_the_plane_and_scales_by_width():
    y, u, v = planes(128, 96)
    picture = YuvPicture(y, [u, v], full_range=False)
    assert_near(picture.luma(), y, most=0)
    assert picture.luma(64).shape == (48, 64)
    assert_near(picture.luma(64), y.reshape(48, 2, 64, 2).mean(axis=(1, 3)), most=1)


def test_rgb_picture_and_its_bgr_twin_are_the_same():
    pixels = reference(*planes())
    rgb, bgr = RgbPicture(pixels), RgbPicture(pixels[..., ::-1].copy(), bgr=True)
    assert_near(whole(rgb), pixels, most=0)
    assert_near(whole(bgr), pixels, most=0)
    luma = (pixels @ [0.299, 0.587, 0.114]).round()
    for picture in (rgb, bgr):
        assert_near(picture.luma(), luma, most=1)
        assert picture.luma(32).shape == (24, 32)


@pytest.mark.parametrize("kind", ["yuv", "rgb"])
def test_every_view_is_read_only(kind):
    y, u, v = planes()
    picture = (
        RgbPicture(reference(y, u, v)) if kind == "rgb" else YuvPicture(y, [u, v], full_range=False)
    )
    outside = Box(x0=2, y0=2, x1=3, y1=3)
    for view in (
        picture.luma(),
        picture.luma(16),
        whole(picture),
        picture.rgb(WHOLE, 16, 12),
        picture.rgb(outside, 4, 4),
    ):
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 1


def test_picture_of_a_clip_outlives_its_decoder(tmp_path):
    source = ClipSource("c", drawn_clip(tmp_path / "a.mp4"), ManualClock(), realtime=False)
    kept = [(frame, frame.picture.luma().copy()) for frame in source.frames()]
    for frame, then in kept:
        assert np.array_equal(frame.picture.luma(), then)


def test_crop_is_cut_from_the_main_picture_with_its_shape_kept():
    small = YuvPicture(*planes(64, 36)[:1], planes(64, 36)[1:], full_range=False)
    y, u, v = planes(256, 144)
    large = YuvPicture(y, [u, v], full_range=False)
    frame = Frame(
        camera_id="c", seq=1, t_mono_ns=0, t_utc_ms=0, clock_synced=True, picture=small, main=large
    )
    crop = frame.crop(Box(x0=0.5, y0=0.0, x1=1.0, y1=0.5), 128)
    assert crop.shape == (72, 128, 3)
    assert_near(crop, reference(y, u, v)[:72, 128:], most=4)
