"""Synthetic street scenes of the project's own: data to try everything on, with labels that are right by construction.

A scene is planned in metres (`layout`), seen by a camera (`view`), painted from the far to the near (`backdrop`,
`buildings`, `vehicles`, `figures`) and photographed (`compose`). Colour does not give the class away: walls, cars and
clothes share one box of paints, overcast skies are as grey as roads, and trees may be brown.
"""

from perpixel.data.scenes.compose import make_scene
from perpixel.data.scenes.paints import SCENES
from perpixel.data.scenes.write import write_scenes

__all__ = ["SCENES", "make_scene", "write_scenes"]
