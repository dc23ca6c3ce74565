"""Which vehicles to look at for their plates, frame by frame, and when a plate counts as read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.infer.model import Model
from agent.plates.finder import SAME_PLATE, FoundPlate, PlateFinder, around
from agent.plates.grammar import Grammars, load_grammars
from agent.plates.places import NS, Arrival, Passages, Scenery, overlap
from agent.plates.reader import PlateReader
from agent.plates.straighten import sharpness
from agent.plates.vehicle import LEAST_VOTES, Vehicle
from agent.plates.vote import MOST_VIEWS, Verdict
from agent.records import (
    VEHICLES,
    Box,
    Detection,
    Frame,
    Image,
    Picture,
    PlateReading,
    Track,
    TrackState,
)

BUDGET = 5
"""Inferences of finder and reader in one frame: two vehicles, or one and a part of the picture.
At ten frames a second three vehicles are read in half a second, and the detector's own looks take
as long again. To be set from the milliseconds of both models on a Pi."""

ENOUGH = 0.7
"""Probability from which a text that never became sure is told all the same when its vehicle has
gone; its score says how far to trust it. Below it the plate was seen, but not read."""

ROOM = 0.1
"""Of a vehicle's box on each side: boxes lag, plates hang at the lower edge."""

_LIKELY_SHARE = 0.22  # of a vehicle's width is its plate's, until that was found
_OWN = 0.05  # the same, for whose plate it is
_SAME_TRACK = 0.1  # overlap of a plate with the track of a plate
_SAMPLE_PX = (240, 96)  # of brightness are enough to tell how sharp a vehicle is
_IDLE_S = 1.0  # between looks for plates outside vehicles while nothing moves there
_MOVING = 4.0  # times as urgent is a part of the picture in which something moves
_ALONE_S = 3.0  # a plate outside every vehicle must say the same for so long: clocks do not
_STILL = 0.2  # plate widths: a vehicle that has gone no further in all its views...
_STILL_VOTES = 4  # ...of this many is about to stand, and its text with it


class PlateWatch:
    """One camera's plates: `search` before the tracker, `update` after it, `close` at the end.

    Everything is timed by the frames; nothing of it may be shared between cameras but the models.
    """

    def __init__(
        self,
        finder: Model,
        reader: Model,
        *,
        grammars: Grammars | None = None,
        budget: int = BUDGET,
    ) -> None:
        """ModelError where a model is none of its kind."""
        self._finder, self._reader = PlateFinder(finder), PlateReader(reader)
        self._calibration = self._reader.calibration
        self._grammars = grammars or load_grammars()
        self._budget = budget
        self._vehicles: dict[int, Vehicle] = {}
        self._scenery, self._passages = Scenery(), Passages()
        self._tiles: dict[Box, int] = {}  # when each was looked at last
        self._found: list[FoundPlate] = []  # in this frame, of the followed ones
        self._spent_before = 0
        self._frame_ns: int | None = None
        self._updated_ns = 0
        self._searched_ns: int | None = None

    @property
    def inferences(self) -> int:
        """Of both models, so far."""
        return self._finder.inferences + self._reader.inferences

    @property
    def reads(self) -> bool:
        """Whether something drives in view whose plate is not read yet."""
        return any(
            not (each.told or each.standing or each.exhausted) for each in self._vehicles.values()
        )

    def search(
        self, frame: Frame, detections: Sequence[Detection], moving: Sequence[Box] = ()
    ) -> list[Detection]:
        """Plates outside every vehicle, for the tracker: followed ones, and of one tile.

        `detections` are this frame's, `moving` is where something moves.
        """
        self._begin(frame)
        picture = frame.main or frame.picture
        for region in self._followed(frame.t_mono_ns):
            self._found += _new(self._finder.find(picture, region), self._found)
        found = list(self._found)  # what a tile shows is too small to be read well: it is followed
        vehicles = [each.box for each in detections if each.kind in VEHICLES]
        vehicles += self._vehicle_boxes()
        for tile in self._due_tile(frame, vehicles, moving):
            shown = self._finder.find(picture, tile)
            self._scenery.looked(tile, [each.box for each in shown], vehicles)
            found += _new(shown, found)
        return [
            Detection(kind="plate", score=each.score, box=each.box)
            for each in found
            if not _inside(each.box, vehicles)
            and not self._scenery.holds(each.box, frame.t_mono_ns)
        ]

    def update(self, frame: Frame, tracks: Sequence[Track]) -> list[PlateReading]:
        """Look at what promises most; the passages settled by this frame, once each."""
        self._begin(frame)
        readings = self._follow(tracks)
        looks = _Looks(frame)
        self._read(looks, self._sorted_out(self._found))
        self._found = []
        for vehicle in self._by_promise(looks):
            if self._left() < 2:  # a plate that is found has to be read
                break
            self._look(looks, vehicle)
        for vehicle in self._vehicles.values():
            readings += self._settled(vehicle, frame.t_mono_ns)
        self._updated_ns = frame.t_mono_ns
        return readings

    def close(self) -> list[PlateReading]:
        """No more frames: what the vehicles still in view have come to."""
        ended, self._vehicles = list(self._vehicles.values()), {}
        return [reading for vehicle in ended for reading in self._ended(vehicle)]

    def _begin(self, frame: Frame) -> None:
        if self._frame_ns != frame.t_mono_ns:
            self._frame_ns = frame.t_mono_ns
            self._spent_before = self.inferences
            self._found = []

    def _left(self) -> int:
        """Inferences that this frame may still cost."""
        return self._budget - (self.inferences - self._spent_before)

    def _follow(self, tracks: Sequence[Track]) -> list[PlateReading]:
        """Take the tracks over; readings of those that have ended."""
        live: dict[int, Vehicle] = {}
        for track in tracks:
            if track.state is TrackState.ENDED or not (
                track.kind in VEHICLES or track.kind == "plate"
            ):
                continue
            vehicle = self._vehicles.get(track.track_id) or Vehicle(track, self._grammars)
            vehicle.follow(track)
            live[track.track_id] = vehicle
            if vehicle.told and vehicle.plate and track.last_mono_ns == self._frame_ns:
                self._passages.follow(
                    track.track_id, vehicle.plate, track.last_mono_ns, standing=vehicle.standing
                )
        ended = [each for number, each in self._vehicles.items() if number not in live]
        self._vehicles = live
        return [reading for vehicle in ended for reading in self._ended(vehicle)]

    def _vehicle_boxes(self) -> list[Box]:
        return [each.track.box for each in self._vehicles.values() if not each.is_plate]

    def _followed(self, now_ns: int) -> list[Box]:
        """Where to find again the plates that have no vehicle around them.

        What was read, or looked at long enough, is let go once it stands: a tile comes by.
        """
        ahead_s = (now_ns - self._updated_ns) / NS
        followed = [
            around(_ahead(each.track, ahead_s))
            for each in self._vehicles.values()
            if each.is_plate and not (each.standing and (each.told or each.exhausted))
        ]
        return followed[: self._budget // 2]

    def _due_tile(self, frame: Frame, vehicles: list[Box], moving: Sequence[Box]) -> list[Box]:
        """The part of the picture that has waited longest, first where strange things move.

        Nothing is strange that a vehicle's box explains. Without such motion there is one look in
        _IDLE_S: a parked car can wait.
        """
        if not self._tiles:
            longest_ago = frame.t_mono_ns - NS
            tiles = self._finder.tiles(frame.main or frame.picture)
            self._tiles = dict.fromkeys(tiles, longest_ago)
        now_ns = frame.t_mono_ns
        strange = [box for box in moving if not _inside(box, vehicles)]
        waited = self._searched_ns is None or now_ns - self._searched_ns >= _IDLE_S * NS
        if not strange and not waited:
            return []

        def urgency(tile: Box) -> float:
            moves = any(tile.holds(box.center) for box in strange)
            return (now_ns - self._tiles[tile]) * (_MOVING if moves else 1.0)

        tile = max(self._tiles, key=urgency)
        self._tiles[tile] = self._searched_ns = now_ns
        return [tile]

    def _by_promise(self, looks: _Looks) -> list[Vehicle]:
        """Vehicles in this frame that are worth a look, those not read at all yet first."""
        ranked = []
        for number, vehicle in self._vehicles.items():
            if vehicle.is_plate or vehicle.told or vehicle.track.last_mono_ns < looks.now_ns:
                continue
            quality = looks.quality(vehicle)
            promise = vehicle.promise(quality, looks.now_ns)
            likely_px = _LIKELY_SHARE * vehicle.track.box.width * looks.picture.width_px
            if promise is not None and likely_px >= self._finder.smallest_px:
                unread = not vehicle.vote
                ranked.append((not unread, -promise, -quality, number))
        return [self._vehicles[number] for *_, number in sorted(ranked)]

    def _look(self, looks: _Looks, vehicle: Vehicle) -> None:
        """Find the plates on one vehicle and read them, those of its neighbours too."""
        expected = vehicle.plate
        known = expected is not None and not vehicle.lost_sight
        if expected is not None and known:
            region = around(expected)
        else:
            region = vehicle.track.box.wider(ROOM)
        closer = 0 if known else min(1, self._left() - 2)
        owned = self._sorted_out(self._finder.find(looks.picture, region, closer=closer))
        mine = owned.pop(vehicle.track.track_id, [])
        self._read(looks, {vehicle.track.track_id: mine})
        self._read(looks, owned)

    def _sorted_out(self, found: Iterable[FoundPlate]) -> dict[int, list[FoundPlate]]:
        """Plates by the track that they belong to: of the vehicles around one the smallest."""
        owned: dict[int, list[FoundPlate]] = {}
        for plate in found:
            around_it = [
                (vehicle.track.box.area, number)
                for number, vehicle in self._vehicles.items()
                if not vehicle.is_plate and vehicle.track.box.wider(_OWN).holds(plate.box.center)
            ]
            alone = [
                (-overlap(vehicle.track.box, plate.box), number)
                for number, vehicle in self._vehicles.items()
                if vehicle.is_plate and overlap(vehicle.track.box, plate.box) >= _SAME_TRACK
            ]
            if around_it or alone:
                _, owner = min(around_it or alone)
                owned.setdefault(owner, []).append(plate)
        return owned

    def _read(self, looks: _Looks, owned: dict[int, list[FoundPlate]]) -> None:
        """Read what was found, as far as it is worth it; none found is a look in vain."""
        for number, found in owned.items():
            vehicle = self._vehicles[number]
            if vehicle.track.last_mono_ns < looks.now_ns:
                continue
            quality = looks.quality(vehicle)
            if vehicle.promise(quality, looks.now_ns) is None or (found and not self._left()):
                continue
            if not any(self._try(looks, vehicle, plate) for plate in found):
                vehicle.miss(quality, looks.now_ns)

    def _try(self, looks: _Looks, vehicle: Vehicle, found: FoundPlate) -> bool:
        """Read one plate; False where there is none, or it is not the vehicle's."""
        strange = self._scenery.holds(found.box, looks.now_ns) or vehicle.disowns(found.box)
        if strange or not self._left():
            return False
        view = self._reader.read(looks.picture, found.corners)
        if not view.agrees(found.score):
            return False
        quality = looks.sharpness(found.box) * found.width_px
        vehicle.see(found, view, quality, looks.now_ns)
        if vehicle.left_text_behind:
            self._scenery.note(found.box, looks.now_ns)
            vehicle.disown()
            return False
        return True

    def _settled(self, vehicle: Vehicle, now_ns: int) -> list[PlateReading]:
        """The reading of a vehicle still in view, once it is sure, or is no longer looked at."""
        if vehicle.told or vehicle.track.last_mono_ns < now_ns:
            return []
        given_up = vehicle.exhausted and vehicle.standing
        if len(vehicle.vote) < LEAST_VOTES or not (given_up or self._may_settle(vehicle)):
            return []
        verdict = vehicle.vote.verdict()
        sure = verdict.score >= self._calibration.sure
        if not sure and not (given_up and not vehicle.alone and verdict.score >= ENOUGH):
            return []
        return self._told(vehicle, verdict)

    def _may_settle(self, vehicle: Vehicle) -> bool:
        """Whether more views would not show that the text is the scene's or read too small."""
        if vehicle.widest_px < self._calibration.min_width_px:
            return len(vehicle.vote) >= MOST_VIEWS
        if vehicle.alone:
            return vehicle.age_s >= _ALONE_S
        still = vehicle.drove < _STILL and len(vehicle.vote) >= _STILL_VOTES
        return vehicle.standing or vehicle.went or still

    def _ended(self, vehicle: Vehicle) -> list[PlateReading]:
        """What a vehicle that has gone has come to."""
        if vehicle.told:
            return []
        verdict = vehicle.vote.verdict()
        sure = verdict.votes >= LEAST_VOTES and verdict.score >= self._calibration.sure
        if vehicle.is_plate:
            box = vehicle.track.box
            if _inside(box, self._vehicle_boxes()):
                return []  # by now its vehicle was seen, and is read itself
            if not (vehicle.track.moved and vehicle.went) and not sure:
                # Text that belongs to no vehicle, stands still and says nothing. A clock's box
                # jumps with what of it is found, so its track moves; the text does not.
                self._scenery.note(box, vehicle.track.last_mono_ns, alone=True)
                return []
        enough = ENOUGH if verdict.votes >= LEAST_VOTES else self._calibration.sure
        if verdict.texts and verdict.score >= enough:
            return self._told(vehicle, verdict)
        seen = verdict.votes >= LEAST_VOTES and vehicle.widest_px >= self._calibration.min_width_px
        return self._told(vehicle, None) if seen else []

    def _told(self, vehicle: Vehicle, verdict: Verdict | None) -> list[PlateReading]:
        """The reading, unless this passage was told already; None: the plate was not read."""
        track, plate, first = vehicle.track, vehicle.plate, vehicle.first_plate
        vehicle.told = True
        if plate is None or first is None:
            return []
        best = verdict.texts[0] if verdict else None
        arrival = Arrival(
            track_id=track.track_id,
            text=best.text if best else None,
            begun_ns=track.first_mono_ns,
            first=first,
            last=plate,
            standing=vehicle.standing,
        )
        if not self._passages.first_time(arrival, track.last_mono_ns):
            return []
        return [
            PlateReading(
                track_id=track.track_id,
                kind="vehicle" if vehicle.is_plate else track.kind,
                box=plate,
                best=best,
                others=verdict.texts[1:] if verdict else (),
                score=verdict.score if verdict else 0.0,
                margin=verdict.margin if verdict else 0.0,
                votes=len(vehicle.vote),
            )
        ]


class _Looks:
    """One frame, and how sharp its parts are; brightness alone is asked for, and once."""

    def __init__(self, frame: Frame) -> None:
        self.picture: Picture = frame.main or frame.picture
        self.now_ns = frame.t_mono_ns
        self._luma: Image | None = None

    def quality(self, vehicle: Vehicle) -> float:
        """What a view of its plate promises: sharp pixels across."""
        plate, box = vehicle.plate, vehicle.track.box
        if plate is not None:
            return self.sharpness(plate) * plate.width * self.picture.width_px
        # Plates are on the lower part; the width is a guess that the next frame makes too.
        lower = Box(x0=box.x0, y0=(box.y0 + box.y1) / 2, x1=box.x1, y1=box.y1)
        return self.sharpness(lower) * _LIKELY_SHARE * box.width * self.picture.width_px

    def sharpness(self, box: Box) -> float:
        """Of the middle of `box`; as much of it as tells, and lies in the picture."""
        if self._luma is None:
            self._luma = self.picture.luma()
        rows, columns = self._luma.shape
        x, y = box.center
        half_x = min(box.width * columns, _SAMPLE_PX[0]) / 2
        half_y = min(box.height * rows, _SAMPLE_PX[1]) / 2
        x0, x1 = (min(max(round(x * columns + by), 0), columns) for by in (-half_x, half_x))
        y0, y1 = (min(max(round(y * rows + by), 0), rows) for by in (-half_y, half_y))
        return sharpness(self._luma[y0:y1, x0:x1])


def _new(found: Iterable[FoundPlate], known: Sequence[FoundPlate]) -> list[FoundPlate]:
    """Those of `found` that are none of `known`."""
    return [f for f in found if all(overlap(f.box, k.box) < SAME_PLATE for k in known)]


def _ahead(track: Track, seconds: float) -> Box:
    """Where it is by now, at the speed it had."""
    x, y = (speed * seconds for speed in track.velocity)
    box = track.box
    return Box(x0=box.x0 + x, y0=box.y0 + y, x1=box.x1 + x, y1=box.y1 + y)


def _inside(box: Box, others: Iterable[Box]) -> bool:
    """Whether its centre lies in one of them."""
    return any(other.wider(_OWN).holds(box.center) for other in others)
