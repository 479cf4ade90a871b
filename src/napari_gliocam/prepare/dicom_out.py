"""Labels as a DICOM segmentation on their series, and their measurements as a report."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import napari_gliocam
from napari_gliocam.errors import SaveError
from napari_gliocam.measure.lesion.diameters import diameters
from napari_gliocam.prepare.extras import import_highdicom, import_pydicom
from napari_gliocam.prepare.way_back import labels_on_original, original_of
from napari_gliocam.targets import Target, mask_of, parts_of, targets_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_gliocam.case import Case, Grid, Modality, OriginalSeries
    from napari_gliocam.threshold import Segmentation

SOFTWARE = "napari-gliocam"
_SEG_NUMBER, _SR_NUMBER = 9101, 9102


@dataclass(frozen=True)
class DicomResult:
    """Files in memory.

    Parameters
    ----------
    segmentation : bytes
        A DICOM segmentation.
    report : bytes
        A structured report of the measurements (TID 1500).
    """

    segmentation: bytes
    report: bytes


def dicom_series_of(case: Case, modality: Modality) -> OriginalSeries:
    """Return the DICOM series that a modality of a case was prepared from.

    Raises
    ------
    SaveError
        The case was not prepared, has no such modality, or the series is not DICOM.
    """
    original = original_of(case, modality)
    if not original.is_dicom:
        raise SaveError(
            f'The {modality.title} of "{case.name}" was not DICOM, so there is no series that a '
            "segmentation could open on; save NIfTI instead."
        )
    return original


def dicom_result(segmentation: Segmentation, case: Case, modality: Modality) -> DicomResult:
    """Write labels and measurements as DICOM on the series of a modality.

    Patient and study are those of the series; nothing else of its header is copied beyond what
    the standard asks for.  All identifiers of instances are new.

    Parameters
    ----------
    segmentation : Segmentation
        Labels of the case.
    case : Case
        Prepared from DICOM.
    modality : Modality
        The series that the segmentation opens on.

    Raises
    ------
    SaveError
        The series is not DICOM, its files are gone, or there is no tumour to write.
    GliocamError
        The extra ``dicom`` is not installed.
    """
    original = dicom_series_of(case, modality)
    labels = labels_on_original(segmentation.labels, case, modality)
    if not labels.any():
        raise SaveError(
            f'"{case.name}" shows no tumour, so there is no segmentation to write; save NIfTI '
            "instead."
        )
    pydicom, hd = import_pydicom("write DICOM"), import_highdicom("write DICOM")
    try:
        sources = [pydicom.dcmread(path, stop_before_pixels=True) for path in original.paths]
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise SaveError(
            f'The {modality.title} series of "{case.name}" is no longer where it was read; put it '
            "back, or save NIfTI."
        ) from error
    writer = _Writer(hd, sources, _bundle(segmentation))
    masks = {target: mask_of(labels, target) for target in parts_of(targets_of(labels))}
    masks = {target: mask for target, mask in masks.items() if mask.any()}
    seg = writer.segmentation(masks, original.grid)
    report = writer.report(seg, list(masks), segmentation.labels, case.grid)
    return DicomResult(_bytes(seg), _bytes(report))


def _bundle(segmentation: Segmentation) -> str:
    bundle = segmentation.maps.provenance.get("bundle") or {}
    return str(bundle.get("name", segmentation.maps.name))


def _bytes(dataset: Any) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


class _Writer:
    """Writes DICOM of one result.

    Parameters
    ----------
    hd : module
        highdicom.
    sources : list of pydicom Dataset
        Instances of the series in the order of its slices, without pixels.
    bundle : str
        Name of the bundle that made the labels.
    """

    def __init__(self, hd: Any, sources: list[Any], bundle: str) -> None:
        from pydicom.sr.codedict import codes

        self.hd, self.codes, self.sources, self.bundle = hd, codes, sources, bundle
        self.kinds: dict[Target, Any] = {
            "tumour": codes.SCT.NeoplasmPrimary,
            "core": codes.SCT.NeoplasmPrimary,
            "edema": codes.SCT.Edema,
        }
        self.device = {
            "manufacturer": SOFTWARE,
            "manufacturer_model_name": bundle,
            "software_versions": napari_gliocam.__version__,
            "device_serial_number": "0",
        }
        self.tracking = {target: hd.UID() for target in self.kinds}

    def segmentation(self, masks: Mapping[Target, NDArray[np.bool_]], grid: Grid) -> Any:
        """Return the segmentation of masks in canonical axes on the grid of the series."""
        hd, codes = self.hd, self.codes
        algorithm = hd.AlgorithmIdentificationSequence(
            name=self.bundle,
            family=codes.DCM.ArtificialIntelligence,
            version=napari_gliocam.__version__,
            source=SOFTWARE,
        )
        described = [
            hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=target,
                segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
                segmented_property_type=self.kinds[target],
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=algorithm,
                tracking_uid=self.tracking[target],
                tracking_id=target,
                anatomic_regions=[codes.SCT.Brain],
            )
            for number, target in enumerate(masks, start=1)
        ]
        named = " and ".join(masks).capitalize()
        # Frames, rows, columns, segments: the series counts x along a row.
        frames = np.stack(
            [grid.to_file(mask).transpose(2, 1, 0) for mask in masks.values()], axis=-1
        )
        return hd.seg.Segmentation(
            source_images=self.sources,
            pixel_array=np.ascontiguousarray(frames).astype(np.uint8),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=described,
            series_instance_uid=hd.UID(),
            series_number=_SEG_NUMBER,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            content_label="GLIOMA",
            content_description=f"{named} of a glioma; research use only",
            series_description=f"{named}, research use only",
            **self.device,
        )

    def report(
        self, segmentation: Any, targets: Sequence[Target], labels: NDArray[np.uint8], grid: Grid
    ) -> Any:
        """Return the measurement report of labels, measured on the case's own grid."""
        hd, codes = self.hd, self.codes
        sr = hd.sr
        named = " and ".join(targets)
        groups = []
        for number, target in enumerate(targets, start=1):
            mask = mask_of(labels, target)
            size = diameters(mask, grid.spacing, labels > 0)
            volume = float(np.count_nonzero(mask)) * grid.voxel_ml
            values = [(codes.SCT.Volume, volume, codes.UCUM.CubicCentimeter)]
            if size.long_mm:
                values.append((codes.SCT.LongAxis, size.long_mm, codes.UCUM.Millimeter))
                values.append((codes.SCT.ShortAxis, size.perpendicular_mm, codes.UCUM.Millimeter))
            groups.append(
                sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                    tracking_identifier=sr.TrackingIdentifier(
                        uid=self.tracking[target], identifier=target
                    ),
                    referenced_segment=sr.ReferencedSegment.from_segmentation(
                        segmentation, segment_number=number
                    ),
                    finding_type=self.kinds[target],
                    finding_sites=[sr.FindingSite(anatomic_location=codes.SCT.Brain)],
                    algorithm_id=sr.AlgorithmIdentification(
                        name=self.bundle, version=napari_gliocam.__version__
                    ),
                    measurements=[
                        sr.Measurement(name=name, value=round(value, 3), unit=unit)
                        for name, value, unit in values
                    ],
                )
            )
        observer = sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                uid=hd.UID(), name=SOFTWARE, manufacturer_name=SOFTWARE, model_name=self.bundle
            ),
        )
        content = sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=observer),
            procedure_reported=sr.CodedConcept("241601008", "SCT", "MRI of brain"),
            imaging_measurements=groups,
            title=codes.DCM.ImagingMeasurementReport,
        )
        return sr.Comprehensive3DSR(
            evidence=[segmentation, *self.sources],
            content=content[0],
            series_instance_uid=hd.UID(),
            series_number=_SR_NUMBER,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer=SOFTWARE,
            is_complete=False,
            is_verified=False,
            series_description=f"Measurements of {named}, research use only",
        )
