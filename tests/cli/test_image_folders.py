"""Folders of images with a folder for each class: what is read, as what, and what is refused."""

import json
import os
import re

import keras
import numpy as np
import pytest
from PIL import Image

from keras_acts.errors import DataError, ExportError
from keras_acts.search.exporting.folder import FILE, FORMAT
from keras_acts_cli import jobs, models
from keras_acts_cli.data import load, pixels
from keras_acts_cli.data.image_format import IN_CARD, ImageFormat, wanted
from keras_acts_cli.keras_file import input_shape
from keras_acts_cli.tables.labelled import AS_FOUND
from tests.cli.test_cli import command, run
from tests.exporting.test_staging import exported
from tests.helpers.images import CLASSES, write_images
from tests.helpers.models import contents

pytestmark = pytest.mark.once


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_images_are_those_that_keras_reads(tmp_path, mode, channels):
    write_images(tmp_path / "shapes", mode=mode)
    found = load(str(tmp_path / "shapes"))
    theirs = keras.utils.image_dataset_from_directory(
        tmp_path / "shapes",
        image_size=(6, 5),
        color_mode={1: "grayscale", 3: "rgb"}[channels],
        shuffle=False,
        batch_size=100,
        verbose=False,
    )
    ((x, y),) = list(theirs)
    assert found.classes == tuple(theirs.class_names) == CLASSES
    assert found.x.dtype == np.float32
    np.testing.assert_array_equal(found.x, x)
    np.testing.assert_array_equal(found.y, y)
    assert (found.name, found.images_as) == ("shapes", ImageFormat(6, 5, channels))
    assert found.images
    assert found.notes == ()


def test_other_sizes_become_the_commonest_as_load_img_makes_them(tmp_path):
    write_images(tmp_path)
    write_images(tmp_path, 1, size=(9, 12), mode="L")
    found = load(str(tmp_path))
    assert found.x.shape == (12, 6, 5, 3)
    expected = keras.utils.load_img(
        tmp_path / "cross" / "0.png", target_size=(6, 5), interpolation="bilinear"
    )
    np.testing.assert_array_equal(found.x[0], keras.utils.img_to_array(expected))
    assert found.notes == (
        "3 of 12 images are resized to 6x5, bilinear: most are 6x5; --image-size says another size",
        "3 of 12 images are gray, and taken as RGB",
    )


def test_large_images_become_smaller_unless_a_size_is_given(tmp_path):
    write_images(tmp_path, 1, size=(96, 128))
    found = load(str(tmp_path))
    assert found.x.shape[1:] == (48, 64, 3)
    (note,) = found.notes
    assert note.startswith(
        "All images are resized to 48x64, bilinear: all are 96x128; --image-size"
    )
    assert load(str(tmp_path), images=wanted("96x128", False)).notes == ()


def test_folders_may_be_parts_of_the_data(tmp_path):
    for seed, (name, count) in enumerate([("train", 3), ("val", 2), ("test", 1)]):
        write_images(tmp_path / name, count, seed=seed)
    # a test part without one of the classes numbers the others as they are
    for path in (tmp_path / "test" / "cross").iterdir():
        path.unlink()
    (tmp_path / "test" / "cross").rmdir()
    found = load(str(tmp_path))
    parts = found.split(0)
    assert [len(x) for x, _ in (parts.train, parts.validation, parts.test)] == [9, 6, 2]
    assert parts.test[1].tolist() == [1, 2]
    assert found.notes == ()
    # and so may other folders, of which one is the training's own
    alone = load(str(tmp_path / "train"), test=tmp_path / "train", validation=tmp_path / "val")
    assert len(alone.given_test[0]) == 9
    (note,) = alone.notes
    assert note.startswith("9 of 9 images of the test part are among those that train too")


def test_a_folder_called_train_may_be_a_class(tmp_path):
    write_images(tmp_path, classes=("bus", "train"))
    assert load(str(tmp_path)).classes == ("bus", "train")


def test_what_a_user_should_know_of_the_files_is_noted(tmp_path):
    write_images(tmp_path, mode="RGBA")
    turned = Image.Exif()
    turned[0x0112] = 6
    path = tmp_path / "ring" / "photo.jpg"
    Image.open(tmp_path / "ring" / "0.png").convert("RGB").save(path, exif=turned)
    frames = [Image.new("L", (5, 6), color) for color in (0, 255)]
    frames[0].save(tmp_path / "ring" / "film.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "ring" / "notes.txt").write_text("mine")
    (tmp_path / "loose.png").write_bytes(path.read_bytes())
    (tmp_path / ".hidden").mkdir()
    found = load(str(tmp_path))
    assert len(found.x) == 14
    told = "\n".join(found.notes)
    for part in (
        "12 of 14 images are transparent, which is left out",
        "1 of 14 images is to be turned, as their EXIF says",
        "1 of 14 images is of several frames, of which the first is taken",
        "2 files are left out, as no image in a folder of a class",
        "notes.txt",
    ):
        assert part in told


def broken(folder):
    """A folder with a file that is none, one that is cut off, and one of 16 bits."""
    write_images(folder)
    (folder / "ring" / "2.png").write_bytes(b"none")
    cut = folder / "cross" / "1.png"
    cut.write_bytes(cut.read_bytes()[:100])
    Image.fromarray(np.full((6, 5), 40000, "uint16")).save(folder / "ring" / "0.png")
    return folder


def test_broken_files_are_named_or_left_out(tmp_path):
    broken(tmp_path)
    with pytest.raises(DataError, match="--skip-broken leaves out the others") as caught:
        load(str(tmp_path))
    assert "8 bits a channel are read, not I;16" in str(caught.value)
    assert "ring/2.png" in str(caught.value)
    found = load(str(tmp_path), images=wanted(None, True))
    assert np.bincount(found.y).tolist() == [3, 2, 4]
    assert found.notes[0].startswith("3 files cannot be read, and are left out: ")


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_class_that_cannot_be_read_is_not_left_out(tmp_path, part):
    for name in ("train", "val"):
        write_images(tmp_path / name, 2)
    whole = (tmp_path / part / "ring" / "1.png").read_bytes()
    (tmp_path / part / "ring" / "0.png").write_bytes(b"none")
    # that it is cut off is seen once its pixels are read
    for content in (b"none", whole[:100]):
        (tmp_path / part / "ring" / "1.png").write_bytes(content)
        with pytest.raises(
            DataError, match=rf"\({part}\w*\), where no image of 'ring' can be read"
        ):
            load(str(tmp_path), images=wanted(None, True))


def test_a_damaged_file_is_read_or_named(tmp_path):
    write_images(tmp_path)
    rng = np.random.default_rng(0)
    outcomes = set()
    for kind in ("png", "jpg", "gif", "bmp"):
        path = tmp_path / "ring" / f"damaged.{kind}"
        Image.open(tmp_path / "ring" / "0.png").convert("RGB").save(path)
        whole = np.frombuffer(path.read_bytes(), "uint8")
        for number in range(15):
            damaged = whole.copy()
            if number % 3 == 0:
                damaged = damaged[: rng.integers(1, len(whole))]
            damaged[rng.integers(0, len(damaged), 3)] = rng.integers(0, 256, 3)
            path.write_bytes(damaged.tobytes())
            found = load(str(tmp_path), images=wanted(None, True))
            outcomes.add(len(found.x))
            if len(found.x) == 12:
                with pytest.raises(DataError, match=re.escape(path.name)):
                    load(str(tmp_path))
        path.unlink()
    assert outcomes == {12, 13}


def test_images_that_do_not_fit_are_refused_before_they_are_read(tmp_path, monkeypatch):
    write_images(tmp_path)
    monkeypatch.setattr(pixels, "free_ram", lambda: 4 * 2**20)
    monkeypatch.setattr(pixels, "read", None)
    with pytest.raises(
        DataError, match="12 images of 300x300, which are 12 MiB as numbers; --image"
    ):
        load(str(tmp_path), images=wanted("300x300", False))


def test_the_users_model_says_size_and_channels(tmp_path):
    model = keras.Sequential([keras.Input((8, 7, 1)), keras.layers.Flatten()])
    path = str(tmp_path / "mine.keras")
    model.save(path)
    shape = input_shape(path)
    assert shape == (8, 7, 1)
    assert wanted(None, False, shape).may_shrink is False
    write_images(tmp_path / "shapes")
    found = load(str(tmp_path / "shapes"), images=wanted(None, False, shape))
    assert found.x.shape[1:] == (8, 7, 1)
    assert "All images are taken as gray, as the model does" in "\n".join(found.notes)
    (note,) = models.notes(model, found)
    assert "takes pixels of 0 to 255 as they are" in note
    scaled = keras.Sequential([keras.Input((8, 7, 1)), keras.layers.Rescaling(1 / 255)])
    assert not list(models.notes(keras.Sequential([scaled, keras.layers.Flatten()]), found))
    with pytest.raises(DataError, match="--image-size must be what the model takes, 8x7"):
        wanted("9x7", False, shape)
    with pytest.raises(DataError, match="for a model that takes images"):
        wanted(None, False, (64,))


def test_names_that_are_no_text(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    write_images(tmp_path / "shapes", 1, classes=("cross", name))
    with pytest.raises(DataError, match="The name of a class must be text in UTF-8"):
        load(str(tmp_path / "shapes"))
    # of a file that is predicted it is told all the same
    path = exported_images(tmp_path, ImageFormat(6, 5, 3).card())
    job = prepared(path, tmp_path / "shapes")
    assert job.files == ("caf\\udce9/0.png", "cross/0.png")


def exported_images(folder, kind):
    """What looks like an export whose model was trained with image files."""
    exported(folder / "export", "theirs")
    place = folder / "export"
    (place / FILE).parent.mkdir()
    spec = {"dtype": "float32", "shape": [None, 6, 5, 3]}
    signature = {"inputs": {"input": spec}, "outputs": {"output": {**spec, "shape": [None, 3]}}}
    card = {"format": FORMAT, "signatures": {"serving_default": signature}}
    if kind is not None:
        card[IN_CARD] = kind
    (place / FILE).write_text(json.dumps(card))
    return place


def prepared(path, data):
    return jobs.prepare_predict(path, data, AS_FOUND, out=None, overwrite=False, allow_nan=False)


def test_predictions_read_files_as_the_training_did(tmp_path):
    path = exported_images(tmp_path, ImageFormat(6, 5, 3).card())
    write_images(tmp_path / "new", 2, size=(12, 10))
    job = prepared(path, tmp_path / "new")
    assert job.x.shape == (6, 6, 5, 3)
    assert job.x.dtype == np.float32
    assert job.files[:3] == ("cross/0.png", "cross/1.png", "ring/0.png")
    one = tmp_path / "new" / "ring" / "0.png"
    alone = prepared(path, one)
    assert alone.files == (str(one),)
    np.testing.assert_array_equal(alone.x[0], job.x[2])
    with pytest.raises(DataError, match=r"ones that can be read\. Received: .*1\.png"):
        prepared(path, broken(tmp_path / "broken"))
    with pytest.raises(DataError, match="a folder with images"):
        prepared(path, tmp_path / "export")


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (None, DataError, "as an array x in a .npz"),
        ({"height": 6, "width": 5}, ExportError, "must have height, width and channels"),
        ({"height": 6, "width": 5, "channels": 2}, ExportError, "channels \\(1 or 3\\)"),
        ({"height": 10**6, "width": 5, "channels": 3}, ExportError, "must have height"),
        (ImageFormat(7, 5, 3).card(), DataError, "must have the shape"),
    ],
)
def test_predictions_of_files_need_a_card_that_says_how(tmp_path, kind, error, message):
    path = exported_images(tmp_path, kind)
    write_images(tmp_path / "new", 1)
    with pytest.raises(error, match=message):
        prepared(path, tmp_path / "new")


def export_job(tmp_path, shape, **options):
    """The export of a model that takes such images, with those of a folder as samples."""
    model = keras.Sequential([keras.Input(shape), keras.layers.GlobalAveragePooling2D()])
    path = str(tmp_path / "mine.keras")
    model.save(path)
    plain = {"overwrite": False, "versioned": False, "formats": (), "normalize": None}
    given = {"samples": tmp_path / "images", **plain, **options}
    return jobs.prepare_export(path, tmp_path / "out", **given)


def test_an_export_claims_to_take_pixels_only_if_it_is_said(tmp_path):
    write_images(tmp_path / "images", 1, size=(96, 80))
    job = export_job(tmp_path, (None, None, 3))
    # nobody has asked for smaller ones
    assert job.samples.shape == (3, 96, 80, 3)
    assert job.images_as is None
    (note,) = job.notes
    assert "--takes-pixels writes it" in note
    said = export_job(tmp_path, (None, None, 3), takes_pixels=True)
    assert said.images_as == ImageFormat(96, 80, 3)
    assert said.notes == ()
    assert export_job(tmp_path, (8, 7, 1), takes_pixels=True).images_as == ImageFormat(8, 7, 1)
    with pytest.raises(DataError, match="--takes-pixels needs --samples with images"):
        export_job(tmp_path, (8, 7, 1), takes_pixels=True, samples=None)
    write_images(tmp_path / "images" / "others", 1)
    with pytest.raises(DataError, match=r"must be of one size\. Received: .* with 6x5, 96x80"):
        export_job(tmp_path, (None, None, 3))
    assert export_job(tmp_path, (8, 7, 3)).samples.shape == (6, 8, 7, 3)


@pytest.mark.slow
def test_a_search_on_a_folder_and_predictions_of_its_files(tmp_path):
    write_images(tmp_path / "shapes", 12)
    write_images(tmp_path / "shapes" / "ring", 1, classes=("deeper",))
    arguments = ["--trials", "2", "--activations", "relu,mish", "--learning-rates", "none"]
    few = ["--epochs", "8", "--verdict", "0", "--resume", "kept", "--json"]
    done = run(tmp_path, "--data", "shapes", *arguments, *few)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["data"] == "shapes"
    place = tmp_path / "saved_models" / "shapes-cnn"
    card = json.loads((place / "assets" / "model_card.json").read_text(encoding="utf-8"))
    assert card["class_names"] == list(CLASSES)
    assert card[IN_CARD]["height"] == 6
    done = command(tmp_path, "predict", str(place), "shapes")
    assert done.exit_code == 0, done.output
    header, *rows = done.stdout.splitlines()
    assert header == "file,label,output.cross,output.ring,output.stripe"
    assert len(rows) == 37
    right = [row.split(",")[1] == row.partition("/")[0] for row in rows]
    assert np.mean(right) > 0.8
    done = command(tmp_path, "report", str(place), "--out", "page.html")
    assert done.exit_code == 0, done.output
    assert "Image files become 6 x 5 pixels" in (tmp_path / "page.html").read_text("utf-8")
    # the folder is found from any other one
    again = command(tmp_path / "saved_models", "export", str(tmp_path / "kept"), "best")
    assert again.exit_code == 0, again.output
    # of a model of one's own it is to be said how it takes images
    model = str(place.parent / "mine.keras")
    keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()]).save(model)
    own = command(tmp_path, "export", model, "own", "--samples", "shapes", "--takes-pixels")
    assert own.exit_code == 0, own.output
    before = contents(tmp_path / "shapes")
    done = command(tmp_path, "predict", "own", "shapes/cross/0.png")
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()[1].split(",")) == 17
    assert contents(tmp_path / "shapes") == before
