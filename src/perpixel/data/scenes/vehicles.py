"""Cars, vans, buses and lorries: a side profile, made as wide as the vehicle and turned into the street."""

import math
from dataclasses import dataclass

import numpy as np

from perpixel.data.scenes.paints import VEHICLE, car_paint, pick
from perpixel.data.scenes.view import Canvas, Colour, Point, scale

Outline = tuple[tuple[float, float], ...]
"""Points (share of the length from the rear, metres up)."""


@dataclass(frozen=True)
class Shape:
    """A kind of vehicle. glass: the profile's edges, by number, that are windscreens. panes: windows in its sides."""

    length: float
    width: float
    outline: Outline
    glass: tuple[int, ...]
    panes: tuple[Outline, ...]
    wheels: tuple[float, float]
    wheel: float


SHAPES = (
    Shape(
        4.4, 1.8,
        ((0, 0.3), (0, 0.85), (0.14, 0.98), (0.26, 1.43), (0.6, 1.45), (0.76, 0.98), (0.97, 0.8), (1, 0.3)),
        (2, 4),
        (((0.2, 0.98), (0.28, 1.36), (0.43, 1.38), (0.43, 0.98)),
         ((0.46, 0.98), (0.46, 1.38), (0.59, 1.36), (0.7, 0.98))),
        (0.2, 0.8), 0.33,
    ),
    Shape(
        4.1, 1.85,
        ((0, 0.35), (0, 1.0), (0.08, 1.62), (0.6, 1.66), (0.77, 1.1), (0.98, 0.92), (1, 0.35)),
        (1, 3),
        (((0.06, 1.08), (0.12, 1.52), (0.36, 1.55), (0.36, 1.08)),
         ((0.39, 1.08), (0.39, 1.55), (0.58, 1.55), (0.7, 1.1))),
        (0.19, 0.8), 0.37,
    ),
    Shape(
        5.4, 2.0,
        ((0, 0.4), (0, 2.25), (0.72, 2.3), (0.86, 1.35), (1, 1.1), (1, 0.4)),
        (2,), (((0.62, 1.3), (0.62, 2.0), (0.74, 2.0), (0.82, 1.3)),),
        (0.18, 0.82), 0.38,
    ),
    Shape(
        10.5, 2.5,
        ((0, 0.4), (0, 3.0), (1, 3.0), (1, 0.4)),
        (), tuple(((a, 1.3), (a, 2.4), (a + 0.13, 2.4), (a + 0.13, 1.3)) for a in (0.04, 0.19, 0.34, 0.49, 0.64, 0.79)),
        (0.22, 0.78), 0.5,
    ),
    Shape(
        7.5, 2.4,
        ((0, 0.6), (0, 3.2), (0.68, 3.2), (0.7, 2.5), (0.94, 2.4), (1, 1.5), (1, 0.6)),
        (4,), (((0.74, 1.5), (0.74, 2.2), (0.9, 2.2), (0.94, 1.5)),),
        (0.2, 0.82), 0.48,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Vehicle:
    """A vehicle in the street. heading: unit (X, Z), from rear to front."""

    shape: Shape
    x: float
    z: float
    heading: tuple[float, float]
    colour: Colour
    glass: Colour

    def place(self, along: float, up: float, across: float) -> Point:
        """World position of (share of length, metres up, metres to its right)."""
        forward = (along - 0.5) * self.shape.length
        hx, hz = self.heading
        return self.x + hx * forward + hz * across, up, self.z + hz * forward - hx * across


def plan_vehicle(rng: np.random.Generator, x: float, z: float, heading: tuple[float, float]) -> Vehicle:
    """Choose a vehicle; most are cars."""
    shape = SHAPES[int(rng.choice(len(SHAPES), p=[0.36, 0.32, 0.14, 0.09, 0.09]))]
    dark = rng.uniform(24, 70)
    glass = pick(rng, [(dark, dark, dark + 6), (130.0, 150.0, 165.0)])
    return Vehicle(shape, x, z, heading, car_paint(rng), glass)


def draw_vehicle(canvas: Canvas, vehicle: Vehicle) -> None:
    """Draw the faces that look at the camera, the farthest first."""
    half = vehicle.shape.width / 2
    _underside(canvas, vehicle)
    faces = [(_reach(canvas, vehicle, i), i) for i in range(len(vehicle.shape.outline) - 1)]
    for _, edge in sorted(faces, reverse=True):
        _strip(canvas, vehicle, edge, half)
    for side in (-half, half):
        _side(canvas, vehicle, side)


def _reach(canvas: Canvas, vehicle: Vehicle, edge: int) -> float:
    """Squared distance from the camera to the middle of one strip of the profile."""
    (a, low), (b, high) = vehicle.shape.outline[edge : edge + 2]
    x, y, z = vehicle.place((a + b) / 2, (low + high) / 2, 0)
    return (_bent(canvas, x, z)) ** 2 + (y - canvas.camera.height) ** 2 + z**2


def _bent(canvas: Canvas, x: float, z: float) -> float:
    """Sideways distance from the camera's axis, with the street's bend."""
    return x - canvas.camera.x + canvas.camera.bend * z * z


def _faces_camera(canvas: Canvas, at: Point, normal: Point) -> bool:
    """Whether a face at this place shows its outer side."""
    to_camera = (-_bent(canvas, at[0], at[2]), canvas.camera.height - at[1], -at[2])
    return sum(a * b for a, b in zip(to_camera, normal, strict=True)) > 0


def _strip(canvas: Canvas, vehicle: Vehicle, edge: int, half: float) -> None:
    """One edge of the profile across the whole width: bonnet, windscreen, roof, boot, rear."""
    (a, low), (b, high) = vehicle.shape.outline[edge : edge + 2]
    run, rise = (b - a) * vehicle.shape.length, high - low
    size = float(np.hypot(run, rise))
    hx, hz = vehicle.heading
    normal = (-rise / size * hx, run / size, -rise / size * hz)
    if not _faces_camera(canvas, vehicle.place((a + b) / 2, (low + high) / 2, 0), normal):
        return
    place = vehicle.place
    quad = [place(a, low, -half), place(a, low, half), place(b, high, half), place(b, high, -half)]
    canvas.polygon(quad, canvas.air.shade(vehicle.colour, normal), VEHICLE)
    if edge in vehicle.shape.glass:
        corners = [(a, low, -0.86), (a, low, 0.86), (b, high, 0.8), (b, high, -0.8)]
        canvas.polygon([place(at, up, half * part) for at, up, part in corners], vehicle.glass)
    elif abs(run) < 0.35:
        _end_details(canvas, vehicle, a, (min(low, high), max(low, high)), half, rear=a < 0.5)


def _end_details(
    canvas: Canvas, vehicle: Vehicle, along: float, reach: tuple[float, float], half: float, rear: bool
) -> None:
    """Lights and number plate of an upright end; a high end (bus, van) has a window as well."""
    low, high = reach
    lamp: Colour = (190, 40, 36) if rear else (240, 235, 205)
    base = min(low + 0.35, 0.8)
    for side in (-1, 1):
        corners = [(0.72, base), (0.95, base), (0.95, base + 0.18), (0.72, base + 0.18)]
        canvas.polygon([vehicle.place(along, up, side * half * part) for part, up in corners], lamp)
    plate = [(-0.26, base - 0.12), (0.26, base - 0.12), (0.26, base), (-0.26, base)]
    canvas.polygon([vehicle.place(along, up, across) for across, up in plate], (215, 212, 190))
    if high > 1.9:
        pane = [(-0.85, 1.35), (0.85, 1.35), (0.8, high - 0.3), (-0.8, high - 0.3)]
        canvas.polygon([vehicle.place(along, up, half * part) for part, up in pane], vehicle.glass)


def _side(canvas: Canvas, vehicle: Vehicle, across: float) -> None:
    """A flank with its windows, sill and wheels, if the camera sees it."""
    hx, hz = vehicle.heading
    sign = 1 if across > 0 else -1
    normal = (sign * hz, 0.0, -sign * hx)
    if not _faces_camera(canvas, vehicle.place(0.5, 0.8, across), normal):
        return
    colour = canvas.air.shade(vehicle.colour, normal)
    outline = vehicle.shape.outline
    canvas.polygon([vehicle.place(a, up, across) for a, up in outline], colour, VEHICLE)
    sill = ((0.02, 0.62), (0.98, 0.62), (0.98, 0.7), (0.02, 0.7))
    canvas.polygon([vehicle.place(a, up, across) for a, up in sill], scale(colour, 0.8))
    for pane in vehicle.shape.panes:
        canvas.polygon([vehicle.place(a, up, across) for a, up in pane], vehicle.glass)
    for along in vehicle.shape.wheels:
        _wheel(canvas, vehicle, along, across)


def _wheel(canvas: Canvas, vehicle: Vehicle, along: float, across: float) -> None:
    """A tyre with a light rim."""
    radius = vehicle.shape.wheel
    for share, colour, label in ((1.0, (26.0, 26.0, 28.0), VEHICLE), (0.55, (140.0, 140.0, 142.0), None)):
        reach = radius * share
        turns = [(reach * math.cos(t), reach * math.sin(t)) for t in np.linspace(0, 2 * np.pi, 12, endpoint=False)]
        points = [vehicle.place(along + a / vehicle.shape.length, radius + up, across) for a, up in turns]
        canvas.polygon(points, colour, label)


def _underside(canvas: Canvas, vehicle: Vehicle) -> None:
    """Wheels seen from behind, and the dark below: it darkens the road but stays road."""
    half = vehicle.shape.width / 2
    corners = [vehicle.place(a, 0.0, side * half) for a, side in ((0, -1), (0, 1), (1, 1), (1, -1))]
    canvas.polygon(corners, (28, 28, 30))
    for along in vehicle.shape.wheels:
        for side in (-1, 1):
            ends = [(side * half, 0.0), (side * (half - 0.22), 0.0), (side * (half - 0.22), 0.5), (side * half, 0.5)]
            canvas.polygon([vehicle.place(along, up, across) for across, up in ends], (24, 24, 26), VEHICLE)
