"""Small DICOM series as a scanner writes them, from an array and an affine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
STUDY, FRAME = generate_uid(), generate_uid()

#: Times of usual sequences: TE, TR, TI in ms.
TIMES: dict[str, tuple[float, float, float | None]] = {
    "t1": (2.9, 2200.0, 900.0),
    "t2": (95.0, 5000.0, None),
    "flair": (110.0, 9000.0, 2500.0),
}


def write_series(
    folder: Path,
    array: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    description: str = "",
    times: str | None = "t1",
    slope: float = 1.0,
    intercept: float = 0.0,
    enhanced: bool = False,
    syntax: str = ExplicitVRLittleEndian,
    **tags: Any,
) -> list[Path]:
    """Write a series; returns its files in the order of the third axis.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    array : ndarray of int16 or uint16, shape (x, y, z)
        Stored values; x runs along a row.
    affine : ndarray, shape (4, 4)
        Voxel index to RAS+ mm.
    **tags
        Attributes of every instance; None leaves one out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    step = np.linalg.norm(lps[:3, :3], axis=0)
    along, down = lps[:3, 0] / step[0], lps[:3, 1] / step[1]
    places = [lps[:3, 3] + lps[:3, 2] * z for z in range(array.shape[2])]
    base = Dataset()
    base.SOPClassUID = ENHANCED_MR if enhanced else MR
    base.Modality = "MR"
    base.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
    base.PatientID, base.PatientName, base.PatientBirthDate = "P1", "Doe^Jane", "19700101"
    base.PatientSex, base.StudyDate, base.StudyTime = "F", "20240102", "101112"
    base.StudyID, base.AccessionNumber, base.ReferringPhysicianName = "1", "", ""
    base.Manufacturer, base.ManufacturerModelName = "Test", "Test"
    base.DeviceSerialNumber, base.SoftwareVersions = "1", "1"
    base.StudyInstanceUID, base.FrameOfReferenceUID = STUDY, FRAME
    base.SeriesInstanceUID, base.SeriesNumber = generate_uid(), 1
    base.PositionReferenceIndicator = ""
    base.SeriesDescription = description
    base.SamplesPerPixel, base.PhotometricInterpretation = 1, "MONOCHROME2"
    base.Rows, base.Columns = array.shape[1], array.shape[0]
    base.BitsAllocated, base.BitsStored, base.HighBit = 16, 16, 15
    base.PixelRepresentation = int(array.dtype.kind == "i")
    if times:
        echo, repetition, inversion = TIMES[times]
        base.EchoTime, base.RepetitionTime = echo, repetition
        if inversion is not None:
            base.InversionTime = inversion
    if not enhanced:
        base.PixelSpacing = [float(step[1]), float(step[0])]
        base.ImageOrientationPatient = [float(v) for v in (*along, *down)]
        base.SliceThickness = float(step[2])
        base.RescaleSlope, base.RescaleIntercept = slope, intercept
    for name, value in tags.items():
        if value is None:
            delattr(base, name)
        else:
            setattr(base, name, value)
    planes = [np.ascontiguousarray(array[:, :, z].T) for z in range(array.shape[2])]
    if enhanced:
        base.NumberOfFrames = len(planes)
        base.SharedFunctionalGroupsSequence = Sequence([_shared(step, along, down)])
        base.PerFrameFunctionalGroupsSequence = Sequence(
            [_per_frame(place, slope, intercept) for place in places]
        )
        return [_save(base, folder / "IM0", np.stack(planes), syntax)]
    paths = []
    for z, (plane, place) in enumerate(zip(planes, places, strict=True)):
        one = Dataset()
        one.update(base)
        one.InstanceNumber = z + 1
        one.ImagePositionPatient = [float(v) for v in place]
        # Names that say nothing, in no order.
        paths.append(_save(one, folder / f"IM{(z * 7919) % 10007:05d}", plane, syntax))
    return paths


def _shared(step: Any, along: Any, down: Any) -> Dataset:
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [float(step[1]), float(step[0])]
    measures.SliceThickness = float(step[2])
    plane.ImageOrientationPatient = [float(v) for v in (*along, *down)]
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    return shared


def _per_frame(place: Any, slope: float, intercept: float) -> Dataset:
    frame, position, rescale = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = [float(v) for v in place]
    rescale.RescaleSlope, rescale.RescaleIntercept = slope, intercept
    rescale.RescaleType = "US"
    frame.PlanePositionSequence = Sequence([position])
    frame.PixelValueTransformationSequence = Sequence([rescale])
    return frame


def _save(dataset: Dataset, path: Path, pixels: NDArray[Any], syntax: str) -> Path:
    dataset.SOPInstanceUID = generate_uid()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    dataset.file_meta = meta
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    if syntax != ExplicitVRLittleEndian:
        dataset.compress(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return path
