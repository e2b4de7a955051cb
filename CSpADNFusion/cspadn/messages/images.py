"""Messages on reading image files: NIfTI, NRRD, MetaImage and PNG."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "Reading files (NIfTI, NRRD, MetaImage)",
    "Headers are checked before the voxels are read. A file that holds less than its header promises is refused; missing "
    "voxels are never filled in. Texts that begin with *it* or *its* are the reason in *cannot be read:* and are about that "
    "file.",
    (
        Message(
            "image-unreadable",
            "{volume} {path} cannot be read: {why}",
            "The PET or the MRI, and its file. The reason is one of the rows below, and gives the identifier.",
        ),
        Message(
            "image-not-accessible",
            "{volume} {path} cannot be read: {why}. Check the name and the permissions.",
            "The reason comes from the operating system, such as *Permission denied*, or a link that leads to itself.",
        ),
        Message(
            "image-reader-died",
            "{volume} {path} cannot be read: reading it crashes. It is damaged, or was made to do harm: do not use it.",
            "Files are read in a process of their own, which came to a sudden end. The file does not follow its format in a "
            "way that the image library does not survive. Convert the image again from its source.",
        ),
        Message(
            "image-reading-endless",
            "{volume} {path} cannot be read: reading it does not end. Copy it again, or convert it.",
            "Reading took far more time than a volume of this size needs: a damaged file, or a drive that does not answer.",
        ),
        Message(
            "reader-not-started",
            "The process that reads images cannot be started: {why}. Check the installation of Python.",
            "The interpreter is missing or cannot import this package, or no more processes are allowed.",
        ),
        Message(
            "image-missing",
            "{volume} {path} does not exist: check the name.",
            "A typing error, another working folder, a drive that is not connected, or a link to a file that was deleted.",
        ),
        Message(
            "image-not-a-file",
            "{volume} {path} is not a regular file: give an image file, or the folder of a DICOM series.",
            "The name belongs to a pipe or a device, from which no image can be read.",
        ),
        Message(
            "image-is-one-dicom-slice",
            "{volume} {path} is one file of a DICOM series: give the folder that contains all of them.",
            "A single slice was given. Give its folder, without a file name.",
        ),
        Message(
            "name-not-utf8",
            "The name {path} is not valid UTF-8: rename the file or folder.",
            "Often a name with an umlaut or accent from an old archive or a Windows disk. The wrong bytes are shown as "
            "escapes.",
        ),
        Message(
            "pet-and-mri-identical",
            "PET and MRI are the same file or folder, {path}: give two.",
            "One file or folder was given twice.",
        ),
        Message(
            "format-unknown",
            "it is damaged, or not a {formats} file. Copy it again, or convert it.",
            "The ending does not match the content, the file is empty, or it has another format. Programs such as "
            "*dcm2niix*, or Slicer itself, can convert it.",
        ),
        Message(
            "format-foreign",
            "it is {format}, which is not read. Convert it to NIfTI-1, NRRD or MetaImage.",
            "The content shows another format, whatever the ending of the name. nibabel converts NIfTI-2, MINC, MGH, ECAT, "
            "AFNI and PAR files; Slicer converts others. A web page or an archive in place of an image is a download that "
            "went wrong, or was not unpacked.",
        ),
        Message(
            "gzip-not-named",
            "it is compressed by gzip, but its name does not end in .gz: rename it.",
            "A compressed NIfTI file is recognised by the ending `.nii.gz`. A program or a download has dropped the `.gz`.",
        ),
        Message(
            "gzip-named-only",
            "its name ends in .gz, but it is not compressed: rename it to .nii.",
            "Some web browsers unpack a file while they download it, and keep its name.",
        ),
        Message(
            "file-empty",
            "it is empty. Copy it again.",
            "The file has no content: an interrupted copy or download, or a full disk when it was written.",
        ),
        Message(
            "format-of-other-name",
            "it is a {found} file, but its name ends in {suffix}. Rename it, or convert it.",
            "Programs that go by the name would read something else than programs that go by the content.",
        ),
        Message(
            "image-path-too-long",
            "its path has more than {limit} letters. Move it to a folder with a shorter path.",
            "Some readers of images copy the path into a buffer of 1024 letters.",
        ),
        Message(
            "header-too-long",
            "its header is longer than any program writes. Convert the image again from its source.",
            "A line of more than 1000 letters, thousands of lines or thousands of header extensions: the file is damaged, or "
            "was made to exhaust or crash a reader.",
        ),
        Message(
            "header-names-several-files",
            "its header names several files of voxels, which are not read. Convert it to a single file.",
            "Headers of NRRD and MetaImage may list files (`LIST`) or number them (`%d`). Such lists can name any file of "
            "yours. Load the image in Slicer, and save it as one `.nrrd` file.",
        ),
        Message(
            "compressed-data-cut",
            "it is damaged: its compressed data are incomplete. Copy it again.",
            "A `.nii.gz` or another compressed file ends too early: an interrupted download or copy, or a full disk when it "
            "was written.",
        ),
        Message(
            "voxels-missing",
            "it is damaged: its header promises more voxels than it contains. Copy it again.",
            "As above, for a file that is not compressed: its end is missing.",
        ),
        Message(
            "header-impossible",
            "it is damaged: its header contains a value that no image has. Copy it again.",
            "An impossible number of dimensions, type of voxel or name of a data file: the header was overwritten, or "
            "written by a faulty program.",
        ),
        Message(
            "too-much-data",
            "it contains more data than its header says. Copy it again, or repair its header.",
            "Far more data than the sizes in the header need: a header that was edited by hand, or taken from another image.",
        ),
        Message(
            "size-not-positive",
            "its header gives its size as {size} voxels. Repair the sizes in the header, or convert the image again.",
            "An axis has zero or a negative number of voxels. Such headers come from failed conversions.",
        ),
        Message(
            "header-position-invalid",
            "its header has a spacing that is not positive, or a position that is not a usable number. Repair these fields, "
            "or convert the image again.",
            "A spacing of 0 or below, NaN, or distances above a thousand kilometres. Converting the DICOM files again is "
            "usually quickest.",
        ),
        Message(
            "nifti-forms-mirrored",
            "its qform and its sform mirror each other, so that left and right are not certain. Convert the DICOM series "
            "again, or repair the wrong form.",
            "One of the two positions in the NIfTI header exchanges left and right against the other. Programs that use one "
            "or the other form would show a lesion on different sides, so neither is used.",
        ),
        Message(
            "nifti-sheared",
            "its sform is sheared, so that its axes are not at right angles. Resample it to a straight grid first.",
            "An affine registration was stored in the sform of the header, or the stack was acquired with a tilted gantry. "
            "Resample it with the program that wrote the sform, or with *Resample Image (BRAINS)*.",
        ),
        Message(
            "header-field-twice",
            "its header contains '{field}' twice. Remove one of the two.",
            "A field of an NRRD or MetaImage header occurs twice, perhaps after editing by hand. Programs do not agree on "
            "which one to use.",
        ),
        Message(
            "voxel-file-missing",
            "its header names {file} as the file of its voxels, which is not a file beside it. Put it there, or rename it.",
            "`.nhdr` and `.mhd` files contain only the header. Copy the file with the voxels (such as `.raw`) into the same "
            "folder. Files in other folders, and links to them, are not read.",
        ),
        Message(
            "png-cut",
            "it is damaged: its chunks are incomplete. Copy it again.",
            "The PNG file ends too early: an interrupted download or copy.",
        ),
    ),
)

PICTURES = Section(
    "Pictures (PNG)",
    "Two PNGs of one size are fused pixel by pixel, and measured with `cspadn metrics`.",
    (
        Message(
            "picture-and-volume",
            "One input is a PNG and the other is not: give two PNGs, or two volumes.",
            "A picture has no position in space, so that a picture and a volume cannot be combined.",
        ),
        Message(
            "pictures-and-volumes",
            "Some inputs are PNGs and others are not: give three PNGs, or three volumes.",
            "The same, for `cspadn metrics`.",
        ),
        Message(
            "picture-type",
            "{volume} is not a picture of 8 or 16 bits: convert it first.",
            "From Python: an image of floating-point numbers, or with three dimensions. On the command line: a file of "
            "another format whose name ends in `.png`.",
        ),
        Message(
            "picture-sizes-differ",
            "The PET picture has {pet} pixels, the MRI picture {mri}: crop or scale them to one size.",
            "Pictures are not resized. Crop or scale them so that the same pixel shows the same place in both.",
        ),
        Message(
            "metrics-not-for-pictures",
            "--metrics is for volumes: measure pictures with 'cspadn metrics'.",
            "Fuse first, then run `cspadn metrics pet.png mri.png fused.png`.",
        ),
        Message(
            "report-not-for-pictures",
            "--report is for volumes: leave it out, and look at the pictures themselves.",
            "A page shows slices of volumes in three planes, which pictures do not have.",
        ),
    ),
)
