"""Messages on cohorts and batches: their inputs, their outputs, and the cluster that fuses the pairs."""

from cspadn.messages.record import Message, Section

PAIRS = Section(
    "Pairs of a list or a dataset",
    "One pair cannot be fused; the others are. `cspadn cohort` shows the reason on the group page `index.html` and stores it "
    "in `logs/` of the output, `fuse_batch.py` in the column *message* of `summary.csv`.",
    (
        Message(
            "list-cell-empty",
            "Line {line} of the list has no {columns}: add it.",
            "The cell under `pet` or `mri` is empty.",
        ),
        Message(
            "list-pair-swapped",
            "Line {line} of the list has PET and MRI swapped, as their names show: swap them.",
            "The cell under `pet` has `_T1w.` in its name, or the one under `mri` has `_pet.`.",
        ),
        Message(
            "list-label-invalid",
            "The label '{label}' in line {line} of the list is not a BIDS label: use letters and digits.",
            "`participant_id` and `session_id` must have no hyphens, underscores or blanks, except for `sub-` and `ses-` in "
            "front.",
        ),
        Message(
            "list-output-invalid",
            "The output '{output}' in line {line} of the list must be a name without folders that ends in {suffix}.",
            "The column `output` contains plain names such as `anna.nrrd`; the folder is that of `--output`.",
        ),
        Message(
            "list-output-collides",
            "The output {output} has the same name as an output of another pair, {other}: choose another name.",
            "Two lines have the same output, perhaps with different capitals, or one has the name of the other's colour "
            "volume or table.",
        ),
        Message(
            "t1w-missing",
            "There is no {contrast} image for {pet}: add one in the folder anat, or leave out the PET.",
            "If the PET is in a standard space (`space-...` in its name), it needs a T1w image in the same space. This is "
            "the usual cause for a subject that has a T1w image.",
        ),
        Message(
            "t1w-missing-in-space",
            "There is no {contrast} image in the space of {pet}, {space}: add one in the folder anat, or leave out the PET.",
            "The PET's name says that it is in a space (such as `space-MNI152NLin2009cAsym`). Its T1w image must be in the "
            "same space, and its name must say so.",
        ),
        Message(
            "t1w-ambiguous",
            "{pet} has {count} {contrast} images, {names}: name the registered one in a list of pairs (.csv).",
            "Several T1w images (runs, or sessions if the PET's session has none) are possible, and the program does not "
            "guess.",
        ),
        Message(
            "petprep-ambiguous",
            "PETPrep has left {count} files for {pet}, {names}, of which one is needed: choose with --pet-filter or "
            "--mri-filter.",
            "Several references, transforms, resolutions or T1w images are possible, and the program does not guess. "
            "`--derivatives none` leaves PETPrep's files out.",
        ),
        Message(
            "petprep-unclear",
            "PETPrep's file {file} may belong to {count} PETs, {names}: run a newer PETPrep, or give --derivatives none.",
            "Old versions of PETPrep leave out parts of a PET's name, such as `trc-`. Of two tracers in a session, nobody can "
            "say which one the file belongs to.",
        ),
        Message(
            "petprep-incomplete",
            "PETPrep has left no PET of {name} with a T1w image and a transform to it, or in its space: run PETPrep again.",
            "Needed are `*_desc-preproc_T1w`, and `*_petref` or `*_desc-preproc_pet` in the space T1w or with a transform "
            "`*_from-petref_to-T1w_mode-image_xfm.txt`. With `--frames`, the frames are needed.",
        ),
        Message(
            "transform-unreadable",
            "The transform {path} cannot be read: {why}. Check the permissions, or run PETPrep again.",
            "The reason comes from the operating system.",
        ),
        Message(
            "transform-not-itk",
            "{path} is not a linear transform in ITK's text format: run PETPrep again.",
            "The file is damaged, or holds several transforms, or one that is not linear.",
        ),
        Message(
            "transform-not-rigid",
            "The transform {path} scales or shears the PET: run PETPrep with --pet2anat-dof 6, or with T1w among "
            "--output-spaces.",
            "A PET is placed by a rigid transform only. An image that PETPrep has resampled in the space T1w is used as it "
            "is.",
        ),
        Message(
            "pets-with-one-name",
            "There are {count} PETs whose results would have the name {name}: leave one, or give them different labels in a "
            "list of pairs (.csv).",
            "Their names differ only in parts that the result does not keep, such as `desc-`. In a list, give each line its "
            "own `participant_id` or `session_id`.",
        ),
        Message(
            "pair-file-unreadable",
            "{volume} {path} cannot be read: {why}. Check the permissions.",
            "The reason comes from the operating system. On network drives, the connection may be lost.",
        ),
        Message(
            "filter-invalid",
            "'{text}' is no filter: write KEY=VALUE, such as trc=FDG.",
            "The key is one of a BIDS name, such as `trc`, `run`, `acq`, `rec` or `desc`; for an MRI also `suffix`.",
        ),
        Message(
            "filter-without-pet",
            "{path} has no PET with {filter}: change --pet-filter.",
            "The keys and values are those in the names of the files.",
        ),
        Message(
            "filter-not-for-list",
            "--pet-filter, --mri-filter and --derivatives are for BIDS datasets: leave them out, and name only the wanted "
            "pairs.",
            "A list, or a folder of DICOM studies, has no entities to choose by.",
        ),
        Message(
            "cohort-windows-damaged",
            "{path} does not hold windows: repair it, or delete it to choose new ones.",
            '`cspadn cohort` keeps the windows of the cohort there, as `{"pet": {"FDG": [0, 8]}}`. '
            "New windows fuse all pairs again.",
        ),
        Message(
            "result-not-recorded",
            "{path} exists, but no side file says from what it was made: move it away, or choose another output folder.",
            "A file of another program has the name of a result, or a result whose JSON file was deleted or damaged. It is "
            "not replaced.",
        ),
        Message(
            "result-not-proven",
            "Its result was not made by this user on this computer, or was changed: run the participant level.",
            "On the group page: the side file lacks a proof by the key of this user, as in a dataset from elsewhere, "
            "or its page or thumbnail was exchanged. The participant level fuses the pair again.",
        ),
        Message(
            "failure-record-damaged",
            "The file {path} is damaged: run the participant level again.",
            "On the group page: the failure record of a pair cannot be read. The next run writes it again.",
        ),
        Message(
            "side-file-damaged",
            "The side file of its result is damaged: run the participant level again, with --force.",
            "On the group page: the JSON file beside a fused volume lacks metrics or other fields. With "
            "`--participant-label`, only this pair is fused.",
        ),
    ),
)

SECTION = Section(
    "Cohorts and batches",
    "For `cspadn cohort` and `fuse_batch.py`. With these, nothing was fused, or the run stopped early; finished pairs are "
    "kept.",
    (
        Message(
            "workers-not-a-number",
            "'{text}' is not a number of workers: use 1 or more.",
            "After `--workers`. By default, there is one for each processor.",
        ),
        Message(
            "level-among-labels",
            "The level is among the labels: put it before them, after INPUT and OUTPUT.",
            "`--participant-label` takes all words that follow: write `cspadn cohort BIDS OUTPUT participant "
            "--participant-label 01 02`.",
        ),
        Message(
            "suv-not-for-bids",
            "SUV is computed from DICOM headers, which BIDS does not have: give a list of DICOM folders (.csv).",
            "Leave out `--suv`, or give a list whose `pet` column names DICOM folders.",
        ),
        Message(
            "dicom-not-for-bids",
            "A DICOM study needs DICOM headers, which BIDS does not have: give a list of DICOM folders (.csv).",
            "Leave out `--dicom`, or give a list whose `pet` and `mri` columns name DICOM folders, or a folder of studies.",
        ),
        Message(
            "cohort-package-missing",
            "A cohort needs the Python package '{package}': run pip install '.[cohort]' in a clone to install it.",
            "On a cluster, do this on all its computers. Nothing was fused yet.",
        ),
        Message(
            "dataset-not-a-folder",
            "The dataset {path} is not a folder: give a BIDS dataset, a folder of DICOM studies, or a list of pairs (.csv).",
            "A typing error, or a list whose name does not end in `.csv`.",
        ),
        Message(
            "dataset-file-unreadable",
            "{path} cannot be read: {why}. Check the permissions.",
            "A file or folder of the dataset. The reason comes from the operating system.",
        ),
        Message(
            "dataset-description-invalid",
            "The dataset {path} cannot be read ({kind}): check its dataset_description.json.",
            "That file in the top folder of the dataset is missing or not valid JSON, or the folder is not a BIDS dataset.",
        ),
        Message(
            "dataset-without-pet",
            "The dataset {path} contains no PET with a BIDS name, sub-*/[ses-*/]pet/*_pet.nii.gz: check its names.",
            "Check folders and names, for example `sub-01/pet/sub-01_pet.nii.gz`, or name the files in a list of pairs.",
        ),
        Message(
            "derivatives-ambiguous",
            "The dataset {path} has {count} folders of PETPrep in derivatives, {names}: name one with --derivatives.",
            "Several versions or settings of PETPrep were run. `--derivatives none` uses none of them.",
        ),
        Message(
            "derivatives-not-petprep",
            "{path} has no derivatives of PETPrep: give its output folder, or --derivatives none.",
            "Its `dataset_description.json` must name PETPrep under `GeneratedBy`.",
        ),
        Message(
            "label-without-pet",
            "There is no PET of {key}-{label}: check the labels, and separate them by spaces.",
            "A subject or session after `--participant-label` or `--session-label` is not in the dataset; `01,02` counts as "
            "one label.",
        ),
        Message(
            "studies-unreadable",
            "The folder of studies {path} cannot be read: {why}. Check the name and the permissions.",
            "The reason comes from the operating system.",
        ),
        Message(
            "studies-empty",
            "The folder of studies {path} contains no folders: it needs one for each study.",
            "Perhaps you gave a single study: put each study into a folder of its own, and give the folder above them.",
        ),
        Message(
            "output-contains-input",
            "The output {path} contains the input: choose another folder.",
            "Results must not surround their own sources.",
        ),
        Message(
            "output-contains-dataset",
            "The output {path} contains the input: choose another folder, such as {better}.",
            "Results must not surround their own sources. The text proposes a folder inside the dataset.",
        ),
        Message(
            "output-folder-not-created",
            "The output folder {path} cannot be created: {why}. Choose another, or check its permissions.",
            "The reason comes from the operating system. It also occurs if the folder cannot be listed, or is a file.",
        ),
        Message(
            "output-folder-in-use",
            "The output folder {path} contains other files: choose an empty one, or one of an earlier run.",
            "None of its files was changed.",
        ),
        Message(
            "output-folder-of-other-input",
            "The output folder {path} contains the results of another dataset or list: choose another folder.",
            "An output folder belongs to one dataset or list. This also occurs if the list was renamed, or if dataset and "
            "output were moved relative to each other.",
        ),
        Message(
            "results-not-proven",
            "{count} earlier results were fused again: they were not made by this user on this computer, or were changed.",
            "Anyone can write a side file with matching hashes. Results are therefore skipped only if their side file has a "
            "proof by the key of this user; see [scaling](scaling.md#results-of-others).",
        ),
        Message(
            "windows-not-proven",
            "The windows in {path} were not recorded by this user on this computer, or were changed: new ones were chosen.",
            "As for results, recorded windows are used only with a proof by the key of this user. Give other windows with "
            "`--pet-window` and `--mri-window`.",
        ),
        Message(
            "cohort-not-fused",
            "The folder {path} contains no fused cohort: run the participant level first.",
            "For `cspadn cohort BIDS OUTPUT group`: OUTPUT is misspelt, or nothing was fused into it yet.",
        ),
        Message(
            "summary-is-the-list",
            "The list of pairs {path} has the name of the summary: rename it.",
            "The list is called `summary.csv` and is in the output folder. It was not changed.",
        ),
        Message(
            "summary-of-other-program",
            "{path} is not the summary of an earlier run: rename it, or choose another folder.",
            "A `summary.csv` of another program is in the output folder. It was not changed.",
        ),
        Message(
            "summary-outdated",
            "The summary is outdated: {why}",
            "On Windows, usually because the file is open in Excel. The fusions continue, and the summary is written again "
            "after the next pair and at the end. If that fails, the exit code is 1.",
        ),
    ),
)

CLUSTER = Section(
    "Dask clusters",
    "For `cspadn cohort`. Finished pairs are kept; run the command again to resume. See also "
    "[scaling](scaling.md#on-a-cluster).",
    (
        Message(
            "scheduler-unreachable",
            "No Dask scheduler answers at {address}: start one with 'dask scheduler', or check the address.",
            "The scheduler prints its address when it starts, such as `tcp://HOST:8786`. A firewall may block it.",
        ),
        Message(
            "scheduler-without-workers",
            "The scheduler at {address} has no worker: start some with 'dask worker {address}'.",
            "The program waited 40 s. If workers wait in the queue of a cluster, start the run again when they are running.",
        ),
        Message(
            "cluster-packages-differ",
            "The scheduler or a worker lacks cspadn[cohort], or has another version: install the same on all computers.",
            "Run `pip install '.[cohort]'` in the same clone on each computer, including that of the scheduler.",
        ),
        Message(
            "worker-versions-differ",
            "A worker has cspadn {other}, this computer has {own}: install the same on all computers.",
            "Checked before the first pair: nothing was fused.",
        ),
        Message(
            "worker-version-differs",
            "A worker has cspadn {other}, not {own}: install the same on all computers.",
            "A worker that joined later has another version. Only the pair that it had fails.",
        ),
        Message(
            "worker-model-differs",
            "The worker has another model of that name: install the same version of cspadn everywhere.",
            "Your own weights file must be identical, under the same path, on all computers.",
        ),
        Message(
            "workers-gone",
            "The scheduler has had no worker for {seconds} s: start some, and run this again to resume.",
            "All workers stopped, for example because their time in a queue was over.",
        ),
        Message(
            "scheduler-gone",
            "The scheduler stopped: start it again, and run this again to resume.",
            "It was ended, or the network failed.",
        ),
        Message(
            "pair-lost",
            "The scheduler has lost this pair: run this again.",
            "Only this pair failed. The next run fuses it.",
        ),
        Message(
            "worker-died",
            "The worker died {times} times during this pair, perhaps because memory ran out: try it alone, with 'cspadn "
            "fuse'.",
            "The pair is skipped so that the others continue. Fewer `--workers` leave more memory for each.",
        ),
    ),
)
