"""What slide files as people have them are taken for: resolution, contents, unscanned areas, bounds, orientation."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmark.errors import DataError
from benchmark.slides import Grid, Slide, slide_facts, tissue_mask

PINK, GLASS = (200, 120, 170), (243, 243, 243)
MODES = ("rgb", "rgb-released", "grey-otsu", "hsv-otsu", "hsv-otsu-released", "grey-otsu-released")
CM = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}


def painted(side=1024, share=(0.3, 0.7)):
    """Glass with a square of tissue."""
    rng = np.random.default_rng(0)
    image = np.full((side, side, 3), GLASS, np.int16) + rng.integers(-3, 4, (side, side, 3))
    inside = np.s_[int(share[0] * side) : int(share[1] * side)]
    tissue = image[inside, inside]
    tissue[:] = PINK + rng.integers(-12, 13, tissue.shape)
    return image.clip(0, 255).astype(np.uint8)


PIXELS = painted(256)


def aperio(head):
    """Writes an Aperio slide whose description ends in `head`."""

    def write(path):
        start = "Aperio Image Library v11.2.1\r\n256x256 [0,0 256x256] (128x128) JPEG/RGB Q=90"
        options = {"tile": (128, 128), "photometric": "rgb", "metadata": None, "software": False}
        tifffile.imwrite(path, PIXELS, description=start + head, compression="jpeg", **options)

    return write


def plain(pixels=PIXELS, **options):
    """Writes a TIFF."""
    return lambda path: tifffile.imwrite(path, pixels, **{"photometric": "rgb", "metadata": None, **options})


def ome(unit, size, **options):
    """Writes an OME-TIFF whose pixels measure `size` of `unit`."""
    measures = {f"PhysicalSize{axis}{end}": value for axis in "XY" for end, value in (("", size), ("Unit", unit))}
    return plain(metadata={"axes": "YXS", **measures}, **options)


def imagej(unit, per_unit):
    """Writes an ImageJ TIFF."""
    return lambda path: tifffile.imwrite(
        path, PIXELS, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit, "axes": "YXS"}
    )


def pillow(**options):
    """Writes with Pillow."""
    return lambda path: Image.fromarray(PIXELS).save(path, **options)


@pytest.mark.parametrize(
    ("name", "write", "mpp", "source"),
    [
        ("tiled.tif", plain(tile=(128, 128), **CM), 0.5, "TIFF resolution"),
        ("stripped.tif", plain(**CM), 0.5, "TIFF resolution"),
        ("lzw.tif", plain(compression="lzw", **CM), 0.5, "TIFF resolution"),
        ("inch.tif", plain(resolution=(50_800, 50_800), resolutionunit="INCH"), 0.5, "TIFF resolution"),
        ("big-endian.tif", plain(tile=(128, 128), byteorder=">", **CM), 0.5, "TIFF resolution"),
        ("big-endian-strips.tif", plain(byteorder=">", **CM), 0.5, "TIFF resolution"),
        ("bigtiff.tif", plain(bigtiff=True, **CM), 0.5, "TIFF resolution"),
        ("imagej-um.tif", imagej("um", 2), 0.5, "ImageJ"),
        ("imagej-micron.tif", imagej("micron", 2), 0.5, "ImageJ"),
        ("imagej-mm.tif", imagej("mm", 2000), 0.5, "ImageJ"),
        ("strips.ome.tif", ome("µm", 0.5), 0.5, "OME-XML"),
        ("tiles.ome.tif", ome("µm", 0.5, tile=(128, 128)), 0.5, "OME-XML"),
        ("nm.ome.tif", ome("nm", 500), 0.5, "OME-XML"),
        ("mm.ome.tif", ome("mm", 0.0005), 0.5, "OME-XML"),
        ("mpp.svs", aperio("|AppMag = 20|MPP = 0.4990"), 0.499, "openslide.mpp-x/y"),
        ("20x.svs", aperio("|AppMag = 20"), 0.5, "objective 20×"),
        ("40x.svs", aperio("|AppMag = 40"), 0.25, "objective 40×"),
        ("scanned.png", pillow(dpi=(25_400, 25_400)), 1.0, "image density"),
        ("scanned.jpg", pillow(dpi=(12_700, 12_700)), 2.0, "image density"),
        ("screen.png", pillow(dpi=(72, 72)), None, ""),
        ("screen.tif", plain(resolution=(72, 72), resolutionunit="INCH"), None, ""),
        ("silent.png", pillow(), None, ""),
        ("unitless.tif", plain(resolution=(20_000, 20_000), resolutionunit="NONE"), None, ""),
    ],
)
def test_microns_per_pixel_are_found_wherever_a_file_has_them(tmp_path, name, write, mpp, source):
    write(tmp_path / name)
    facts = slide_facts(tmp_path / name, "s")
    assert facts.mpp == (None if mpp is None else pytest.approx(mpp, rel=1e-3))
    assert facts.mpp_source == source
    assert bool(facts.notes) == source.startswith("objective")


def test_statements_that_contradict_each_other_are_noted(tmp_path):
    ome("µm", 0.25, **CM)(tmp_path / "both.ome.tif")
    facts = slide_facts(tmp_path / "both.ome.tif", "s")
    assert facts.mpp == pytest.approx(0.25)
    assert facts.notes == ("TIFF resolution says 0.5 µm/px; 0.25 of OME-XML is taken",)


def test_an_implausible_resolution_is_passed_over_with_a_note(tmp_path):
    ome("µm", 500)(tmp_path / "slip.ome.tif")
    facts = slide_facts(tmp_path / "slip.ome.tif", "s")
    assert facts.mpp is None
    assert "500 µm/px, which no microscope gives" in facts.notes[0]


def test_pixels_that_are_not_square_are_noted(tmp_path):
    plain(resolution=(20_000, 10_000), resolutionunit="CENTIMETER")(tmp_path / "wide.tif")
    facts = slide_facts(tmp_path / "wide.tif", "s")
    assert facts.mpp == pytest.approx(0.75)
    assert "not square" in facts.notes[0]


def with_tags(content, **changes):
    """A little-endian TIFF in which named tags of the first page have another (type, value)."""
    changed = bytearray(content)
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        places = {name: tiff.pages.first.tags[name].offset for name in changes}
    for name, (kind, value) in changes.items():
        changed[places[name] + 2 : places[name] + 12] = struct.pack("<HII", kind, 1, value)
    return bytes(changed)


@pytest.mark.parametrize(
    ("name", "kind", "value"), [("ImageWidth", 2, 7), ("RowsPerStrip", 2, 7), ("XResolution", 3, 7)]
)
def test_a_tag_of_another_type_ends_no_command(tmp_path, name, kind, value):
    """What the header says is left aside, or the file is refused by name."""
    file = tmp_path / "odd.tif"
    plain(description="x|MPP = 0.5", **CM)(file)
    file.write_bytes(with_tags(file.read_bytes(), **{name: (kind, value)}))
    try:
        slide_facts(file, "s")
    except DataError as refused:
        assert "odd.tif" in refused.what


def test_channels_of_different_depths_are_refused(tmp_path):
    file = tmp_path / "odd.tif"
    plain()(file)
    with tifffile.TiffFile(file) as tiff:
        place = tiff.pages.first.tags["BitsPerSample"].valueoffset
    content = bytearray(file.read_bytes())
    content[place] = 16
    file.write_bytes(content)
    with pytest.raises(DataError, match="16 bits per channel"):
        slide_facts(file, "s")


def test_tiles_larger_than_memory_are_refused_before_openslide_aborts(tmp_path):
    file = tmp_path / "odd.tif"
    plain(tile=(128, 128))(file)
    file.write_bytes(with_tags(file.read_bytes(), TileWidth=(4, 1 << 28), TileLength=(4, 1 << 28)))
    with pytest.raises(DataError, match="has tiles of 268435456×268435456 px"):
        slide_facts(file, "s")


CHANNELS = np.moveaxis(PIXELS, -1, 0)
GREY = {"photometric": "minisblack"}


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (plain(CHANNELS, **GREY), "3 grey pages"),
        (plain(CHANNELS, **GREY, tile=(128, 128)), "3 grey pages"),
        (plain(CHANNELS, **GREY, ome=True, metadata={"axes": "CYX"}), "axes CYX"),
        (
            plain(CHANNELS, **GREY, ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "FITC", "TRITC"]}}),
            "DAPI, FITC, TRITC",
        ),
        (plain(np.stack([PIXELS[..., 0]] * 5), **GREY, metadata={"axes": "ZYX"}), "5 grey pages"),
        (plain(np.stack([PIXELS] * 2)), "2 rgb pages"),
        (plain(PIXELS.astype(np.uint16) * 16), "16 bits per channel"),
        (plain(PIXELS.astype(np.uint16) * 257, tile=(128, 128)), "16 bits per channel"),
        (plain(PIXELS[..., 0].astype(np.uint16), **GREY), "16 bits per channel"),
        (plain(PIXELS.astype(np.float32) / 255), "32 bits per channel"),
        (plain(PIXELS[..., :2], **GREY, planarconfig="contig"), "2 samples per pixel"),
        (plain(np.concatenate([PIXELS, PIXELS], -1), **GREY, planarconfig="contig"), "6 samples per pixel"),
    ],
)
def test_what_is_no_8_bit_colour_image_is_refused_by_name(tmp_path, write, said):
    """Pillow and libtiff show the first page, or the upper bits, without a word."""
    write(tmp_path / "odd.tif")
    with pytest.raises(DataError, match=said) as refused:
        slide_facts(tmp_path / "odd.tif", "s")
    assert "expected" in refused.value.what
    assert refused.value.fix
    assert "copy it again" not in refused.value.fix


@pytest.mark.parametrize(
    "write",
    [
        plain(CHANNELS, planarconfig="separate"),
        plain(CHANNELS, planarconfig="separate", compression="lzw"),
        plain(CHANNELS, planarconfig="separate", tile=(128, 128)),
        plain(CHANNELS, planarconfig="separate", tile=(128, 128), compression="deflate"),
        plain(byteorder=">", tile=(128, 128)),
        plain(metadata={"axes": "YXS"}),
    ],
)
def test_planar_and_big_endian_files_are_read_as_they_are(tmp_path, write):
    write(tmp_path / "s.tif")
    assert np.array_equal(Slide("s", tmp_path / "s.tif", "p").read(0, 0, 256, 256), PIXELS)


def sparse(path):
    """A tiled TIFF whose unscanned tiles have no bytes, as scanners leave them: transparent in OpenSlide."""
    image = painted()
    tifffile.imwrite(path, image, tile=(128, 128), photometric="rgb", metadata=None, compression="deflate")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tags = tiff.pages[0].tags
        counts, offsets = list(tags["TileByteCounts"].value), list(tags["TileOffsets"].value)
        for number in range(64):
            if not (2 <= number // 8 < 6 and 2 <= number % 8 < 6):
                counts[number] = offsets[number] = 0
        tags["TileByteCounts"].overwrite(counts)
        tags["TileOffsets"].overwrite(offsets)


def blackened(write):
    """The same scan with black where nothing was scanned."""

    def to(path):
        image = painted()
        black = np.ones(image.shape[:2], np.bool_)
        black[250:770, 250:770] = False
        image[black] = 0
        write(path, image)

    return to


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "write",
    [
        sparse,
        blackened(lambda path, image: tifffile.imwrite(path, image, photometric="rgb", metadata=None)),
        blackened(
            lambda path, image: tifffile.imwrite(
                path, image, photometric="rgb", tile=(128, 128), compression="jpeg", metadata=None
            )
        ),
        blackened(
            lambda path, image: Image.fromarray(
                np.dstack([np.where(image.any(-1, keepdims=True), image, 255), image.any(-1) * np.uint8(255)])
            ).save(path, "PNG")
        ),
    ],
    ids=["no tiles", "black", "black JPEG", "transparent PNG"],
)
def test_what_was_never_scanned_is_glass_in_every_mode(tmp_path, write, mode):
    """Against the same slide scanned whole; unscanned cells are never tissue."""
    write(tmp_path / "part.tif")
    grid = Grid.regular((1024, 1024), 64)
    mask = tissue_mask(Slide("part", tmp_path / "part.tif", "p"), grid, mode)
    inside = np.zeros(grid.shape, np.bool_)
    inside[4:12, 4:12] = True
    assert not mask[~inside].any()
    if mode != "hsv-otsu-released":  # red and blue swapped: it tells other cells apart
        assert mask[6:10, 6:10].any()


def test_black_specks_do_not_make_their_neighbours_unscanned(tmp_path):
    image = painted()
    image[500:502, 500:502] = 0
    tifffile.imwrite(tmp_path / "pen.tif", image, photometric="rgb", metadata=None)
    grid = Grid.regular((1024, 1024), 64)
    assert tissue_mask(Slide("pen", tmp_path / "pen.tif", "p"), grid, "rgb")[7, 7]


@pytest.mark.parametrize(("name", "how"), [("turned.jpg", "read as stored"), ("turned.tif", "turned as it says")])
def test_exif_orientation_is_said(tmp_path, name, how):
    image = Image.fromarray(PIXELS[:200])
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / name, exif=exif)
    facts = slide_facts(tmp_path / name, "s")
    assert facts.notes
    assert how in facts.notes[0]
    pixels = Slide("s", tmp_path / name, "p").read(0, 0, *facts.size)
    assert pixels.shape[:2] == facts.size[::-1]


SCN = (
    '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="u">'
    '<collection name="c" uuid="v" sizeX="{canvas}" sizeY="{canvas}" type="slide"><barcode/>'
    '<image name="image_0" uuid="w"><pixels sizeX="{side}" sizeY="{side}"><dimension sizeX="{side}" sizeY="{side}" '
    'r="0" ifd="0"/></pixels><view sizeX="{view}" sizeY="{view}" offsetX="{x}" offsetY="{y}" spacingZ="0"/>'
    "<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>"
    "<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield</illuminationSource>"
    "</illuminationSettings></scanSettings></image></collection></scn>"
)


def write_scn(path, image, canvas, offset, nanometres=500):
    """A Leica slide: `image` lies at `offset` px of a canvas of `canvas` px."""
    side = image.shape[0]
    x, y = (length * nanometres for length in offset)
    text = SCN.format(canvas=canvas * nanometres, side=side, view=side * nanometres, x=x, y=y)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(
            image,
            tile=(256, 256),
            photometric="rgb",
            compression="jpeg",
            metadata=None,
            description=text,
            software=False,
        )


def test_the_bounds_of_the_scan_are_known(tmp_path):
    """QuPath counts from (768, 512) on this slide, OpenSlide from (0, 0)."""
    write_scn(tmp_path / "s.scn", painted(), 2048, (768, 512))
    facts = slide_facts(tmp_path / "s.scn", "s")
    assert (facts.vendor, facts.size, facts.bounds) == ("leica", (2048, 2048), (768, 512, 1024, 1024))
    slide = Slide("s", tmp_path / "s.scn", "p")
    assert not slide.read(0, 0, 8, 8).any()
    mask = tissue_mask(slide, Grid.regular((2048, 2048), 64), "rgb")
    assert not mask[:8].any()
    assert not mask[:, :12].any()
    assert mask[8:24, 12:28].any()


def test_a_slide_scanned_whole_has_no_bounds_of_its_own(tmp_path):
    plain(tile=(128, 128))(tmp_path / "s.tif")
    assert slide_facts(tmp_path / "s.tif", "s").bounds is None
