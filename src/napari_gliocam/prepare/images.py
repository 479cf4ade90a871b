"""Images that are not DICOM: NIfTI, NRRD, MetaImage, FreeSurfer's MGZ, Analyze."""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gliocam.errors import CaseError
from napari_gliocam.io.foreign import ITK_SUFFIXES, is_readable
from napari_gliocam.io.naming import is_nifti
from napari_gliocam.io.nifti import load_nifti
from napari_gliocam.prepare.extras import import_simpleitk
from napari_gliocam.prepare.series import SeriesVolume, volume_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: LPS, as ITK and DICOM count, to RAS, and back.
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_image(path: Path) -> bool:
    """Return True if a file's name is that of an image that `read_image` reads."""
    return not path.name.startswith(".") and (is_nifti(path.name) or is_readable(path))


def read_image(path: Path) -> SeriesVolume:
    """Read one 3-D image.

    Parameters
    ----------
    path : Path
        NIfTI, NRRD, MetaImage, MGZ, or the header of an Analyze pair.

    Raises
    ------
    CaseError
        The file is missing, damaged or no 3-D volume, or a package that reads it is missing.
    """
    name = path.name
    if is_nifti(name):
        file = load_nifti(path)
        return volume_of(name, file.array, file.affine, header=file.header, notes=file.notes)
    if name.lower().endswith(ITK_SUFFIXES):
        return _read_itk(path)
    return _read_nibabel(path)


def _read_itk(path: Path) -> SeriesVolume:
    sitk = import_simpleitk(f"read {path.name}")
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise CaseError(
            f"{path.name} is a colour, vector or {image.GetDimension()}-D image where one 3-D "
            "volume is meant; leave it out."
        )
    return volume_of(path.name, sitk.GetArrayFromImage(image).transpose(2, 1, 0), itk_affine(image))


def itk_affine(image: Any) -> NDArray[np.float64]:
    """Return the voxel index (x, y, z) to RAS+ mm of a SimpleITK image, shape (4, 4)."""
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    flipped: NDArray[np.float64] = FLIP @ affine
    return flipped


def _read_nibabel(path: Path) -> SeriesVolume:
    import nibabel as nib

    try:
        image: Any = nib.load(path)
        array = np.asarray(image.dataobj)
    except (OSError, ValueError, EOFError, nib.filebasedimages.ImageFileError) as error:
        raise _unreadable(path, error) from error
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    notes: tuple[str, ...] = ()
    if isinstance(image, nib.AnalyzeImage) and not isinstance(image, nib.Nifti1Pair):
        notes = (f"No orientation is stored in {path.name}; check that left is left.",)
    if np.iscomplexobj(array) or array.dtype.fields is not None:
        raise CaseError(f"{path.name} holds colours or complex numbers; export the grey values.")
    return volume_of(path.name, array, image.affine, notes=notes)


def _unreadable(path: Path, error: Exception) -> CaseError:
    return CaseError(
        f"{path.name} cannot be read ({type(error).__name__}); copy or export it again."
    )
