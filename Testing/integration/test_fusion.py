"""Fusing volumes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import cspadn
from cspadn import fusion
from cspadn.errors import CancelledError, InputError, ModelError, UsageError
from cspadn.imaging import color
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window, to_unit
from cspadn.inference.bounds import FlatResponse
from cspadn.inference.slice_runner import SliceFuser
from cspadn.models.weights import load_model, models_folder
from message_calls import identifiers, raises
from slice_runners import run_on_cpu_only
from volumes import blobs, volume


def _array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def _assert_same_grid(image: sitk.Image, reference: sitk.Image) -> None:
    for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(image, get)() == getattr(reference, get)(), get


def test_result_lies_on_the_mri_and_inputs_are_untouched(pair) -> None:
    pet, mri = pair
    before = _array(pet), _array(mri)
    result = cspadn.fuse(pet, mri)
    _assert_same_grid(result.image, mri)
    assert result.image.GetPixelID() == sitk.sitkFloat32
    values = _array(result.image)
    assert 0 <= values.min() < values.max() <= FUSED_MAXIMUM
    np.testing.assert_array_equal(_array(pet), before[0])
    np.testing.assert_array_equal(_array(mri), before[1])


def test_result_depends_on_both_sources(pair) -> None:
    pet, mri = pair
    fused = _array(cspadn.fuse(pet, mri).image)
    for other in (cspadn.fuse(pet * 0.5, mri, cspadn.FusionSettings(pet_window=(0, 100))), cspadn.fuse(pet, mri * mri)):
        assert np.abs(_array(other.image) - fused).max() > 0.02 * FUSED_MAXIMUM


def test_same_inputs_give_identical_voxels(pair) -> None:
    first, second = (_array(cspadn.fuse(*pair).image) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_slices_equal_the_network_alone() -> None:
    """With one grid and given windows, a fused slice is the network's output for the two slices, or black."""
    pet, mri = volume(blobs(seed=5)), volume(blobs(seed=6))
    settings = cspadn.FusionSettings(pet_window=(0, 100), mri_window=(0, 100))
    fused = _array(cspadn.fuse(pet, mri, settings).image)
    units = [torch.from_numpy(to_unit(_array(image)[3], Window(0, 100))) for image in (pet, mri)]
    with torch.inference_mode():
        network, sources = load_model().network, torch.stack(units)[None]
        alone = (network(sources * 2 - 1)[0] + 1) / 2
    bounded = FlatResponse.of(network).bounded(alone.numpy(), sources.numpy())[0]
    expected = bounded * np.minimum(sources.numpy().max(axis=(0, 1)) * 255, 1)  # black in both stays black
    np.testing.assert_allclose(fused[3], expected * FUSED_MAXIMUM, atol=1e-3 * FUSED_MAXIMUM / 100)


STORED_ORDERS = [("PIR", "LAS"), ("ASL", "RSP"), ("IRP", "SAL"), ("RAS", "LIP"), ("LPI", "PLI")]  # of PET and MRI


@pytest.mark.parametrize("codes", STORED_ORDERS)
def test_stored_orders_do_not_matter(shared: Path, codes: tuple[str, str]) -> None:
    """Real volumes stored sagittally, coronally, flipped or left-handed give the same values at the same points."""
    folder = shared / "data" / "volumes" / "aanlib"
    pet = sitk.ReadImage(str(folder / "PET_axial.nii.gz"))
    mri = sitk.ReadImage(str(folder / "MRI_axial.nii.gz"))[::4, ::4, 45:48]
    expected = _array(cspadn.fuse(pet, mri).image)
    pet_stored, mri_stored = sitk.DICOMOrient(pet, codes[0]), sitk.DICOMOrient(mri, codes[1])
    fused = cspadn.fuse(pet_stored, mri_stored).image
    _assert_same_grid(fused, mri_stored)
    values = _array(sitk.DICOMOrient(fused, "LPS"))
    assert np.abs(values - expected).max() <= 1e-4 * FUSED_MAXIMUM
    assert expected.max() > 0.5 * FUSED_MAXIMUM


def test_mri_is_kept_outside_the_pet(pair) -> None:
    pet, mri = pair
    half = pet[: pet.GetSize()[0] // 2, :, :]
    fused = _array(cspadn.fuse(half, mri, cspadn.FusionSettings(mri_window=(0, 100))).image)
    kept = to_unit(_array(mri), Window(0, 100)) * FUSED_MAXIMUM
    np.testing.assert_allclose(fused[:, :, -6:], kept[:, :, -6:], rtol=1e-6)
    assert np.abs(fused[:, :, :8] - kept[:, :, :8]).max() > 0.02 * FUSED_MAXIMUM


def test_what_is_black_in_both_stays_black() -> None:
    """Without postprocessing, the network spreads the edge of a head into the background."""
    pixels = np.zeros((2, 1, 48, 48), np.float32)
    pixels[:, :, 16:32, 16:32] = 200 * np.random.default_rng(3).random((2, 1, 16, 16), np.float32)
    pet, mri = (sitk.GetImageFromArray(volume) for volume in pixels)
    fused = _array(fusion.fuse(pet, mri, cspadn.FusionSettings(pet_window=(0, 255), mri_window=(0, 255))).image)
    outside = pixels.max(axis=0) == 0
    assert fused[outside].max() == 0
    assert np.median(fused[~outside]) > 0
    alone = SliceFuser(lambda: load_model().network, torch.device("cpu"))(pixels.swapaxes(0, 1) / 255)
    assert alone[outside].max() > 0


def test_single_slice_and_integer_volumes(pair) -> None:
    pet, mri = pair
    thin = sitk.Cast(mri[:, :, 3:4] * 100 - 3000, sitk.sitkInt16)
    result = cspadn.fuse(sitk.Cast(pet, sitk.sitkUInt8), thin)
    _assert_same_grid(result.image, thin)
    assert _array(result.image).std() > 0


def test_provenance_says_what_made_it(pair) -> None:
    result = cspadn.fuse(*pair, cspadn.FusionSettings(device="cpu", pet_window=(1, 90)))
    card = load_model().card
    assert result.provenance["model"] == card.name
    assert result.provenance["model_sha256"] == card.sha256
    assert result.provenance["model_origin"] == "shipped"
    assert result.provenance["pet_window"] == [1, 90]
    assert result.provenance["device"] == "cpu"
    assert "not for diagnosis" in result.provenance["note"]
    assert result.warnings == []


def test_a_model_of_the_users_is_told_as_unverified(pair, tmp_path: Path) -> None:
    for suffix in (".safetensors", ".json"):
        shutil.copy(models_folder() / f"cspadn{suffix}", tmp_path / f"mine{suffix}")
    result = cspadn.fuse(*pair, cspadn.FusionSettings(device="cpu", model=str(tmp_path / "mine.safetensors")))
    assert result.provenance["model_origin"] == "given by the user, unverified"


def test_progress_counts_every_slice(pair) -> None:
    seen: list[tuple[int, int]] = []
    cspadn.fuse(*pair, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, 8) for i in range(8)]


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_cancel_stops_before_the_next_slice(pair, request, threads: int) -> None:
    """This also holds for a volume with fewer slices than threads."""
    request.getfixturevalue("three_threads")  # which puts back what was
    torch.set_num_threads(threads)
    seen: list[int] = []
    with pytest.raises(CancelledError):
        cspadn.fuse(*pair, progress=lambda done, _total: seen.append(done), cancelled=lambda: len(seen) == 3)
    assert seen == [1, 2, 3]


def test_little_overlap_is_told_with_its_number(pair) -> None:
    pet, mri = pair
    (warning,) = cspadn.fuse(pet[:4, :, :], mri).warnings
    assert warning.identifier == "overlap-small"
    assert 0.1 < warning.fields["share"] < 0.45


def test_a_thin_pet_is_found(pair) -> None:
    """A PET of three slices in a tall MRI is fused at its place, although it covers only a hundredth of the MRI."""
    thin = volume(blobs((3, 20, 20), seed=3), spacing=(1, 1, 0.5), origin=(0, 0, 30.3))
    tall = volume(np.tile(blobs((20, 20, 20), seed=4), (4, 1, 1)))
    settings = cspadn.FusionSettings(mri_window=(0, 100))
    result = cspadn.fuse(thin, tall, settings)
    kept = to_unit(_array(tall), Window(0, 100)) * FUSED_MAXIMUM
    changed = np.abs(_array(result.image) - kept).max(axis=(1, 2)) > 0.01 * FUSED_MAXIMUM
    assert changed.nonzero()[0].tolist() == [31]
    assert identifiers(result.warnings)[0] == "overlap-small"


def test_what_lies_outside_the_mri_does_not_set_the_pet_window(pair) -> None:
    """The PET covers the whole body, with a hot bladder far below the head."""
    pet, mri = pair
    head = _array(pet)
    body = np.zeros((40, *head.shape[1:]), np.float32)
    body[-len(head) :] = head
    body[2:8] = 4000
    spacing = pet.GetSpacing()
    origin = np.array(pet.GetOrigin()) - [0, 0, spacing[2] * (40 - len(head))]
    whole = volume(body, spacing=spacing, origin=origin.tolist())
    windows = [cspadn.fuse(image, mri).provenance["pet_window"] for image in (pet, whole)]
    np.testing.assert_allclose(windows[0], windows[1], rtol=1e-5)


def test_volumes_that_do_not_overlap_are_refused(pair) -> None:
    pet, mri = pair
    pet.SetOrigin((5000, 0, 0))
    with raises(InputError, "no-overlap"):
        cspadn.fuse(pet, mri)


def test_unknown_device_and_model_are_refused(pair) -> None:
    with raises(UsageError, "device-unavailable", device="gpu9"):
        cspadn.fuse(*pair, cspadn.FusionSettings(device="gpu9"))
    with raises(ModelError, "model-unknown", model="best"):
        cspadn.fuse(*pair, cspadn.FusionSettings(model="best"))


def test_half_precision_is_for_gpus(monkeypatch, pair) -> None:
    monkeypatch.setattr(SliceFuser, "_run", run_on_cpu_only)
    slices = SliceFuser(lambda: torch.nn.Linear(1, 1), torch.device("meta"), half=True)
    assert slices.precision == slices.network.weight.dtype == torch.float16
    slices(np.zeros((1, 2, 2, 2), np.float32))
    assert slices.precision == slices.network.weight.dtype == torch.float32  # on the CPU, for want of memory
    monkeypatch.undo()
    result = cspadn.fuse(*pair, cspadn.FusionSettings(device="cpu", half=True))
    assert result.provenance["precision"] == "float32"
    assert "half-precision-ignored" in identifiers(result.warnings)


def test_an_impossible_device_is_refused_before_the_work(monkeypatch, pair) -> None:
    monkeypatch.setattr(fusion.Pair, "of", lambda *_: 1 / 0)
    with raises(UsageError, "device-unavailable", device="tpu"):
        cspadn.fuse(*pair, cspadn.FusionSettings(device="tpu"))


def test_holes_are_background_and_counted(pair) -> None:
    pet, mri = (_array(image) for image in pair)
    settings = cspadn.FusionSettings(pet_window=(0, 100), mri_window=(0, 100))
    filled = [array.copy() for array in (pet, mri)]
    holes = [array.copy() for array in (pet, mri)]
    for array, value in ((filled, [0, 0, 0]), (holes, [np.nan, np.inf, -np.inf])):
        array[0][3, 5, 4:7] = array[1][4, 9, 10:13] = value
    results = []
    for arrays in (filled, holes):
        images = [sitk.GetImageFromArray(array) for array in arrays]
        for image, like in zip(images, pair, strict=True):
            image.CopyInformation(like)
        results.append(cspadn.fuse(*images, settings))
    np.testing.assert_array_equal(_array(results[0].image), _array(results[1].image))
    assert results[0].warnings == []
    assert identifiers(results[1].warnings) == ["voxels-not-finite"] * 2
    assert [warning.fields for warning in results[1].warnings] == [
        {"volume": f"The {name}", "count": 3} for name in ("PET", "MRI")
    ]


def test_values_beyond_single_precision_are_holes_too(pair) -> None:
    pet, mri = pair
    array = _array(pet).astype(np.float64)
    array[3, 5, 4] = 1e300
    huge = sitk.GetImageFromArray(array)
    huge.CopyInformation(pet)
    result = cspadn.fuse(huge, mri)
    assert np.isfinite(_array(result.image)).all()
    assert result.warnings[0].fields["count"] == 1


def test_no_seam_where_the_pet_ends() -> None:
    """The contribution of a bright PET that ends inside a uniform MRI fades over a few voxels, within and across slices."""
    mri = volume(np.full((40, 40, 40), 50, np.float32) + np.arange(40, dtype=np.float32))
    pet = volume(np.full((20, 20, 40), 100, np.float32))
    settings = cspadn.FusionSettings(model="cspadn-paper", pet_window=(0, 100), mri_window=(0, 100))
    fused = _array(cspadn.fuse(pet, mri, settings).image)
    kept = to_unit(_array(mri), Window(0, 100)) * FUSED_MAXIMUM
    added = np.abs(fused - kept)
    for row in (added[8, :, 20], added[:, 8, 20]):
        assert row[:12].min() > 100
        assert row[20:].max() == 0
        assert np.abs(np.diff(row[14:22])).max() < 0.5 * row[10]  # without fading it would all go in one step
    assert fused[20:].min() > 0.4 * FUSED_MAXIMUM  # no black rim


def test_less_than_one_percent_is_refused_with_the_number(pair) -> None:
    mri = volume(blobs((20, 40, 40), seed=4))
    pet = volume(blobs((3, 8, 8), seed=3)[:, :4, :4] + 5, origin=(18, 18, 10))
    with raises(InputError, "overlap-too-small") as caught:
        cspadn.fuse(pet, mri)
    assert 0 < caught.value.fields["share"] < 0.01


@pytest.mark.parametrize(("degrees", "told"), [(4, False), (6, True), (-30, True)])
def test_tilted_slices_are_told_with_their_angle(pair, degrees: float, told: bool) -> None:
    turn = np.reshape(sitk.Euler3DTransform((0, 0, 0), np.radians(degrees), 0, 0).GetMatrix(), (3, 3))
    for image in pair:
        image.SetDirection(turn.ravel().tolist())
        image.SetOrigin((turn @ image.GetOrigin()).tolist())
    warnings = [each for each in cspadn.fuse(*pair).warnings if each.identifier == "slices-tilted"]
    assert bool(warnings) is told
    assert not told or warnings[0].fields["angle"] == pytest.approx(abs(degrees), abs=0.1)


def test_the_grid_of_the_pet(pair) -> None:
    pet, mri = pair
    result = cspadn.fuse(pet, mri, cspadn.FusionSettings(grid="pet"))
    _assert_same_grid(result.image, pet)
    assert result.provenance["grid"] == "pet"
    assert result.provenance["pet_window"] == cspadn.fuse(pet, mri).provenance["pet_window"]
    half = mri[:10, :, :]  # the MRI sees half of the head: elsewhere the PET is kept
    settings = cspadn.FusionSettings(grid="pet", pet_window=(0, 100))
    fused = _array(cspadn.fuse(pet, half, settings).image)
    kept = to_unit(_array(pet), Window(0, 100)) * FUSED_MAXIMUM
    np.testing.assert_allclose(fused[:, :, -5:], kept[:, :, -5:], rtol=1e-6)
    assert np.abs(fused - kept)[:, :, :3].max() > 0.02 * FUSED_MAXIMUM


def test_the_colour_volume(pair) -> None:
    result = cspadn.fuse(*pair, cspadn.FusionSettings(palette="PET-Heat"))
    _assert_same_grid(result.color, pair[1])
    rgb = _array(result.color)
    assert np.ptp(rgb.astype(int), axis=-1).max() > 60
    assert (rgb[..., 0].astype(int) >= rgb[..., 2]).all()  # Heat is red and yellow, never blue
    assert result.provenance["palette"] == "PET-Heat"
    assert result.provenance["color_table"] == f"version {color.TABLE_VERSION}"
    assert result.provenance["color_brightness"] == color.brightness_text("PET-Heat")
    assert cspadn.fuse(*pair).color is None
    inverted = cspadn.fuse(*pair, cspadn.FusionSettings(palette="PET-MaximumIntensityProjection"))
    grey = np.rint(_array(inverted.image) / FUSED_MAXIMUM * 255)
    np.testing.assert_array_equal(_array(inverted.color), np.repeat(grey[..., np.newaxis], 3, axis=-1))


@pytest.mark.parametrize("palette", cspadn.palettes.PALETTES)
def test_colours_fade_into_the_volume_that_is_kept(pair, palette: str) -> None:
    pet, mri = pair
    half = cspadn.fuse(pet[:10, :, :], mri, cspadn.FusionSettings(palette=palette))  # the PET sees half of the head
    far = _array(half.color)[:, :, -3:]
    grey = np.rint(_array(half.image) / FUSED_MAXIMUM * 255)[:, :, -3:]
    np.testing.assert_array_equal(far, np.repeat(grey[..., np.newaxis], 3, axis=-1))
    window = {"pet_window": (0, 100), "grid": "pet", "palette": palette}
    half = cspadn.fuse(pet, mri[:10, :, :], cspadn.FusionSettings(**window))  # the MRI sees half of the head
    kept = to_unit(_array(pet), Window(0, 100))
    np.testing.assert_allclose(
        _array(half.color)[:, :, -3:],
        color.recolored(palette, kept, kept, kept, weights=np.zeros_like(kept))[:, :, -3:],
        atol=1,
    )


_LARGE = """
import resource, sys
import numpy as np, SimpleITK as sitk
import cspadn
from cspadn import fusion

from cspadn.inference.slice_runner import SliceFuser

SliceFuser._run = lambda self, sources: sources.mean(axis=1)  # the volumes' memory, not the network's
ramp = np.arange(512, dtype=np.int16)
mri = sitk.GetImageFromArray(np.broadcast_to(ramp[:, None] + ramp, (400, 512, 512)))
mri.SetSpacing((0.5, 0.5, 0.5))
pet = sitk.GetImageFromArray(np.random.default_rng(0).random((100, 128, 128), dtype=np.float32))
pet.SetSpacing((2, 2, 2))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = cspadn.fuse(pet, sitk.DICOMOrient(mri, sys.argv[1]), cspadn.FusionSettings(device="cpu"))
assert result.image.GetNumberOfPixels() == 512 * 512 * 400
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", ["LPS", "PIR"])
def test_memory_of_a_very_large_volume_is_bounded(code: str) -> None:
    """512 x 512 x 400: on top of the inputs, less than four times the fused volume; in a process of its own."""
    pytest.importorskip("resource")
    folder = Path(fusion.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-c", _LARGE, code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    kilobytes = int(run.stdout) if sys.platform != "darwin" else int(run.stdout) / 1024
    assert kilobytes < 4 * 512 * 512 * 400 * 4 / 1024
