"""Who stands where: houses along both sides, then trees, vehicles, people and poles, and their shadows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from perpixel.data.scenes.backdrop import Street
from perpixel.data.scenes.buildings import draw_house, plan_house
from perpixel.data.scenes.figures import draw_hedge, draw_person, draw_pole, draw_tree
from perpixel.data.scenes.vehicles import Vehicle, draw_vehicle, plan_vehicle
from perpixel.data.scenes.view import Air, Canvas

Draw = Callable[[Canvas], None]


@dataclass(frozen=True)
class Thing:
    """Something to draw, the far ones (by depth) first. ground: (x0, x1, z0, z1) that it covers. All in metres."""

    depth: float
    draw: Draw
    ground: tuple[float, float, float, float]
    height: float


def furnish(rng: np.random.Generator, street: Street, camera_x: float) -> list[Thing]:
    """All things of a scene in the order to draw them."""
    vehicles = _vehicles(rng, street)
    small = [
        thing for thing in _people(rng, street) + _poles(rng, street) if not any(_inside(thing, v) for v in vehicles)
    ]
    return _hidden_first(_houses(rng, street) + vehicles + small + _trees(rng, street), camera_x)


def _inside(thing: Thing, other: Thing) -> bool:
    """Whether their grounds meet, with a hand's breadth between them."""
    (x0, x1, z0, z1), (a0, a1, b0, b1) = thing.ground, other.ground
    return x0 < a1 + 0.2 and x1 > a0 - 0.2 and z0 < b1 + 0.2 and z1 > b0 - 0.2


def _hidden_first(things: list[Thing], camera_x: float) -> list[Thing]:
    """Far to near; of two things side by side, the one farther from the camera's axis first."""
    waiting, ordered = sorted(things, key=lambda thing: -thing.depth), []
    while waiting:
        free = (i for i, a in enumerate(waiting) if not any(_behind(b, a, camera_x) for b in waiting))
        ordered.append(waiting.pop(next(free, 0)))
    return ordered


def _behind(a: Thing, b: Thing, camera_x: float) -> bool:
    """Whether `a` has to be drawn before `b`, because `b` may hide some of it."""
    (ax0, ax1, az0, az1), (bx0, bx1, bz0, bz1) = a.ground, b.ground
    if az0 >= bz1 or bz0 >= az1:
        return az0 >= bz1
    if ax0 >= bx1 or bx0 >= ax1:
        return ax0 >= bx1 > camera_x or ax1 <= bx0 < camera_x
    return a.depth > b.depth


def shadow(thing: Thing, air: Air) -> list[list[tuple[float, float]]]:
    """Polygons of (X, Z) that a box keeps from the sun: its foot, its top moved by the light, what joins them."""
    x0, x1, z0, z1 = thing.ground
    reach = thing.height / max(air.sun[1], 0.3)
    dx, dz = -air.sun[0] * reach, -air.sun[2] * reach
    foot = [(x0, z0), (x1, z0), (x1, z1), (x0, z1)]
    moved = [(x + dx, z + dz) for x, z in foot]
    sides = [[foot[i - 1], foot[i], moved[i], moved[i - 1]] for i in range(4)]
    return [foot, moved, *sides]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _depth(rng: np.random.Generator, near: float, far: float) -> float:
    """A depth with as many things per octave near as far, so that sizes in the image vary evenly."""
    return float(np.exp(rng.uniform(np.log(near), np.log(far))))


def _houses(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Rows of houses with gaps; in a gap there may be a garden."""
    things = []
    for side in (-1, 1):
        front = street.road / 2 + street.walk + (rng.uniform(1.5, 5) if street.green[side > 0] else 0.0)
        density, z = rng.uniform(0.55, 1.0), rng.uniform(-6, 4)
        while z < 130:
            length = rng.uniform(7, 20)
            if street.crossing is not None and z < street.crossing[1] + 2 and z + length > street.crossing[0] - 2:
                z = street.crossing[1] + 2
            elif rng.random() > density:
                spot = (side * (front + rng.uniform(1, 6)), max(z, 3) + length / 2)
                things.append(_tree(rng, spot, rng.uniform(4, 10)))
                z += length
            else:
                house = plan_house(rng, side, front + rng.uniform(0, 0.6), z, length)
                ground = tuple(sorted((side * house.front, side * (house.front + house.depth))))
                draw = partial(draw_house, house=house, seed=_seed(rng))
                things.append(Thing(house.far, draw, (ground[0], ground[1], z, house.far), house.height))
                z += length + (rng.uniform(0.5, 5) if rng.random() < 0.4 else 0.0)
    return things


def _tree(rng: np.random.Generator, spot: tuple[float, float], height: float) -> Thing:
    x, z = spot
    half = height * 0.2
    draw = partial(draw_tree, spot=spot, height=height, seed=_seed(rng))
    return Thing(z, draw, (x - half, x + half, z - half, z + half), height)


def _trees(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Trees at the outer edge of the sidewalks and bushes beside them."""
    things = []
    for _ in range(int(rng.integers(2, 7))):
        side, z = int(rng.choice([-1, 1])), _depth(rng, 7, 30)
        x = side * (street.road / 2 + rng.choice([0.9, street.walk]) + rng.uniform(0, 0.8))
        things.append(_tree(rng, (x, z), rng.uniform(3.5, 9)))
    for _ in range(int(rng.integers(0, 4))):
        side, z = int(rng.choice([-1, 1])), _depth(rng, 5, 40)
        x, reach = side * (street.road / 2 + street.walk + 0.2), (rng.uniform(0.6, 1.6), rng.uniform(0.7, 1.7))
        draw = partial(draw_hedge, spot=(x, z), reach=reach, seed=_seed(rng))
        things.append(Thing(z, draw, (x - reach[0], x + reach[0], z - 0.4, z + 0.4), reach[1]))
    return things


def _vehicles(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Parked ones along the kerbs, moving ones in the lanes, now and then one that crosses; none inside another."""
    taken: list[Vehicle] = []
    for _ in range(int(rng.integers(2, 7))):
        z, kind = _depth(rng, 6.5, 26), rng.random()
        side = int(rng.choice([-1, 1]))
        if kind < 0.6:
            vehicle = plan_vehicle(rng, side * (street.road / 2 - 1.15), z, (0.0, float(rng.choice([-1, 1]))))
        elif kind < 0.88:
            vehicle = plan_vehicle(rng, side * street.road * rng.uniform(0.12, 0.25), z, (0.0, float(side)))
        else:
            place = sum(street.crossing) / 2 if street.crossing else z + 8
            vehicle = plan_vehicle(rng, rng.uniform(-6, 6), place + rng.uniform(-1.5, 1.5), (float(side), 0.0))
        if vehicle.z - _half(vehicle)[1] > 3.5 and not any(_overlap(vehicle, other) for other in taken):
            taken.append(vehicle)
    return [_vehicle_thing(vehicle) for vehicle in taken]


def _half(vehicle: Vehicle) -> tuple[float, float]:
    """Half its extent along (X, Z)."""
    long, wide = vehicle.shape.length / 2, vehicle.shape.width / 2
    return (wide, long) if vehicle.heading[0] == 0 else (long, wide)


def _overlap(a: Vehicle, b: Vehicle) -> bool:
    (ax, az), (bx, bz) = _half(a), _half(b)
    return abs(a.x - b.x) < ax + bx + 0.3 and abs(a.z - b.z) < az + bz + 0.5


def _vehicle_thing(vehicle: Vehicle) -> Thing:
    half_x, half_z = _half(vehicle)
    ground = (vehicle.x - half_x, vehicle.x + half_x, vehicle.z - half_z, vehicle.z + half_z)
    return Thing(vehicle.z, partial(draw_vehicle, vehicle=vehicle), ground, max(up for _, up in vehicle.shape.outline))


def _people(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Most on the sidewalks, some in pairs, some on the road."""
    things = []
    for _ in range(int(rng.integers(4, 10))):
        z, side = _depth(rng, 4.5, 9), int(rng.choice([-1, 1]))
        on_road = rng.random() < 0.3
        away = rng.uniform(0, 0.45) * street.road if on_road else street.road / 2 + rng.uniform(0.3, street.walk)
        for k in range(1 + int(rng.random() < 0.25)):
            spot, height = (side * away + 0.65 * k, z + 0.2 * k), rng.uniform(1.5, 1.92)
            draw = partial(draw_person, spot=spot, height=height, seed=_seed(rng))
            things.append(Thing(spot[1], draw, (spot[0] - 0.2, spot[0] + 0.2, spot[1] - 0.15, spot[1] + 0.15), height))
    return things


def _poles(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Lamps, signs and lights, near the kerb."""
    things: list[Thing] = []
    for _ in range(int(rng.integers(4, 10))):
        z, side = _depth(rng, 4.5, 17), int(rng.choice([-1, 1]))
        if any(abs(other.depth / z - 1) < 0.12 and side * other.ground[0] > 0 for other in things):
            continue
        x = side * (street.road / 2 + rng.uniform(0.35, 0.9))
        draw = partial(draw_pole, spot=(x, z), seed=_seed(rng), side=side)
        things.append(Thing(z, draw, (x - 0.12, x + 0.12, z - 0.12, z + 0.12), 5.0))
    return things
