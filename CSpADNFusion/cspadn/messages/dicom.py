"""Messages on reading DICOM series and studies, and on SUV."""

from cspadn.messages.record import Message, Section

SERIES = Section(
    "Reading DICOM",
    "A folder must contain the files of one series. Subfolders are not searched, and files that are not images are skipped.",
    (
        Message(
            "dicom-none",
            "{volume} {folder} contains no DICOM images: give the folder that contains the files of one series.",
            "The files are in subfolders, or the folder has only a DICOMDIR or reports. Give the folder with the slices.",
        ),
        Message(
            "dicom-several-series",
            "{volume} {folder} contains {count} DICOM series: move the one to fuse into a folder of its own.",
            "Localizers or several sequences are in one folder. Load the folder with Slicer's module *DICOM* and export the "
            "series, or sort the files by series.",
        ),
        Message(
            "dicom-multiframe",
            "{volume} {folder} contains multi-frame DICOM without positions of its frames: convert it to NIfTI first.",
            "Several images in one file that say nothing of their place, such as screenshots, ultrasound or nuclear medicine. "
            "Enhanced MR and PET, which have positions, are read.",
        ),
        Message(
            "dicom-mosaic",
            "{volume} {folder} is a mosaic, with all slices of a volume on one sheet: convert it to NIfTI, for example with "
            "dcm2niix.",
            "Siemens scanners store functional and diffusion MRI so, and United Imaging as a grid.",
        ),
        Message(
            "dicom-not-of-a-scanner",
            "{volume}: the DICOM file {path} is {kind}, not an image of a scanner: give the series of the PET or MRI alone.",
            "Segmentations and doses are stored as images, but refer to a series of another folder. Move them out of the "
            "folder.",
        ),
        Message(
            "dicom-copies-differ",
            "{volume} {folder} has two files of one image, {file} and {other}, with different pixels: keep one of them.",
            "Both have the same SOPInstanceUID and the same position. One may have been edited. Equal copies count once.",
        ),
        Message(
            "dicom-frames-incomplete",
            "{volume} {folder} has {most} slices at some positions and {least} at others: copy the missing files, or give one "
            "volume.",
            "A frame of a dynamic PET is incomplete, or beds of a whole-body PET overlap.",
        ),
        Message(
            "dicom-colour",
            "{volume} {folder} contains colour images: give the grayscale series from which they were made.",
            "Screenshots, or fused images of a workstation. The grayscale series is usually in the same study.",
        ),
        Message(
            "dicom-slices-differ",
            "{volume} {folder} has slices of different {tag}, which do not form a single volume: keep one stack of slices.",
            "A localizer in three planes, or images of two sizes in one series. The text names the tag that differs.",
        ),
        Message(
            "dicom-directions-invalid",
            "{volume} {folder} has an ImageOrientationPatient that is not a pair of perpendicular unit vectors: give the "
            "original series.",
            "The orientation in the headers is damaged, perhaps by a program that anonymised or resampled the series.",
        ),
        Message(
            "dicom-slices-coincide",
            "{volume} {folder} has several slices at one position, as time series have: give one volume.",
            "Several echoes, phases or times of an MRI, or the same slices copied twice under new UIDs. Separate one of them. "
            "Of a dynamic PET, frames are chosen with `--frames`.",
        ),
        Message(
            "dicom-gap",
            "{volume} {folder} has a gap: {count} of its steps differ from {spacing:.3f} mm, the first after slice {slice} "
            "of {slices} ({step:.3f} mm). Copy the missing files.",
            "Slices are missing, or were acquired at varying distances. Compare the number of files with that on the PACS.",
        ),
        Message(
            "dicom-slices-displaced",
            "{volume} {folder} has slices that are displaced sideways against each other: give the original series.",
            "The positions in the headers are not on a straight line. They may have been edited, or belong to two stacks.",
        ),
        Message(
            "dicom-sheared",
            "{volume} {folder} is a sheared stack, as with a tilted gantry: resample it to straight slices first.",
            "Each slice is shifted from the last. Convert the series with a program that corrects this, and give the NIfTI "
            "file.",
        ),
        Message(
            "dicom-tag-invalid",
            "{volume} cannot be used: {tag} in its DICOM headers is missing, or not {expected}. Give the original series.",
            "A tag that defines the position of the slices is missing or invalid, as in secondary captures or after "
            "anonymisation. Use the original series, or another reconstruction.",
        ),
        Message(
            "dicom-tag-damaged",
            "{volume} cannot be used: {tag} in its DICOM headers is damaged. Copy the series again.",
            "The text names the tag but does not quote its content, which may be personal.",
        ),
        Message(
            "dicom-file-damaged",
            "{volume}: the DICOM file {path} cannot be read: it is damaged. Copy it again.",
            "The file is shorter than its headers say, or cannot be decoded; usually an interrupted transfer.",
        ),
        Message(
            "dicom-compression-unknown",
            "{volume}: the DICOM file {path} cannot be read: its compression, {syntax}, is not supported. Export the series "
            "uncompressed.",
            "Such as High-Throughput JPEG 2000, JPEG XL or a video. The tools *dcmdjpeg* and *gdcmconv* decompress many "
            "others.",
        ),
        Message(
            "dicom-file-unreadable",
            "{volume}: the DICOM file {path} cannot be read: it is damaged, or its permissions forbid it. Copy it again.",
            "If other programs open the file, check its permissions first.",
        ),
        Message(
            "dicom-header-cut",
            "{volume}: the DICOM file {path} cannot be read: it ends before its headers do. Copy it again.",
            "Only the first bytes of the file were transferred.",
        ),
        Message(
            "dicom-folder-unreadable",
            "{volume} {folder} cannot be read: {why}. Check the permissions.",
            "The folder cannot be listed. On network drives, the connection may be lost.",
        ),
        Message(
            "dicom-too-large",
            "{volume} {folder} has {gigabytes:.0f} GB of voxels, more than there is memory: convert it and crop it first.",
            "Load it on a larger computer, crop it to the head in *Crop Volume*, and save it as `.nrrd`. If the size is "
            "absurd, the headers are damaged.",
        ),
    ),
)

STUDIES = Section(
    "DICOM studies",
    "For `fuse_batch.py --studies`. Only the study with the error fails; the others are fused.",
    (
        Message(
            "study-needs-one-series",
            "The study '{study}' has {count} {modality} series ({found}): put the PET and the MRI to fuse into a folder "
            "each, and list these folders in a file for --pairs.",
            "A study must have exactly one PET (PT) and one MR series. The series that were found are in parentheses. "
            "Several MR sequences are the usual case.",
        ),
        Message(
            "study-unreadable",
            "The study '{study}' cannot be read: {why}. Check the permissions.",
            "The reason comes from the operating system.",
        ),
        Message(
            "dicom-file-without-series",
            "The DICOM file {path} has no {tag}: it is damaged. Copy it again.",
            "Without this tag, the series of the file is unknown.",
        ),
    ),
)

SUV = Section(
    "SUV",
    "With `--suv`, a DICOM PET in Bq/ml is converted to SUV with weight, dose and times from its headers. Without `--suv`, "
    "the fusion works in any units of the PET; only windows in SUV need the conversion.",
    (
        Message(
            "suv-needs-dicom",
            "{volume} {path} has no DICOM headers, which SUV needs: give the folder of its DICOM series.",
            "NIfTI, NRRD and MetaImage contain neither dose nor weight. Give the DICOM folder, or leave out `--suv`.",
        ),
        Message(
            "suv-tag-missing",
            "{volume} cannot be converted to SUV: its DICOM headers have no {tag}. Give the original series.",
            "Anonymisation often removes weight, dose and times. Use the original series, or leave out `--suv`.",
        ),
        Message(
            "suv-units",
            "{volume} cannot be converted to SUV: its Units are {units}, not BQML. Leave out --suv, or convert it first.",
            "GML is SUV already: leave out `--suv`. Counts (CNTS) are converted if the private factors of Philips are in the "
            "headers; convert others with the software of the scanner first.",
        ),
        Message(
            "suv-implausible",
            "{volume} cannot be converted to SUV: its {tag} is {value:g} {unit}, outside {low:g} to {high:g} {unit}. Correct "
            "it, or leave out --suv.",
            "Often a wrong unit: a dose in MBq in place of Bq, a weight in grams in place of kilograms, a half-life in "
            "minutes.",
        ),
        Message(
            "suv-decay-correction",
            "{volume} cannot be converted to SUV: its DecayCorrection is {correction}, not START or ADMIN. Give a series "
            "with decay correction.",
            "The images are not corrected for decay. Ask for a reconstruction that is.",
        ),
        Message(
            "suv-scan-time",
            "{volume} cannot be converted to SUV: the scan starts {seconds:.0f} seconds after the injection, and the "
            "half-life is {half_life:g} seconds. Check dates, times and half-life in its headers.",
            "More than half an hour before the injection, or more than ten half-lives after it: a wrong date or clock, "
            "dates that anonymisation shifted differently, or a half-life in minutes.",
        ),
        Message(
            "suv-day-unknown",
            "{volume} cannot be converted to SUV: its headers do not name the day of the injection, and the half-life is "
            "{hours:.0f} hours. Add RadiopharmaceuticalStartDateTime, or leave out --suv.",
            "Tracers with zirconium-89, iodine-124 or copper-64 are often scanned days after the injection, of which the "
            "headers have only the time of day. Of a short-lived nuclide, the injection is the last one before the scan.",
        ),
        Message(
            "suv-half-life",
            "{volume} cannot be converted to SUV: its RadionuclideHalfLife is {seconds:g} seconds, but {nuclide} has "
            "{expected:g}. Correct it, or leave out --suv.",
            "The half-life is not that of the nuclide in the headers. It may have been entered in minutes or hours.",
        ),
        Message(
            "suv-time-invalid",
            "{volume} cannot be converted to SUV: its {tag} is not a date and time in the time zone of the series. Repair it.",
            "The tag is damaged, or has an offset from UTC that the series does not have.",
        ),
    ),
)
