"""Messages on lists of pairs."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "Lists of pairs (CSV)",
    "For `fuse_batch.py --pairs` and `cspadn cohort`. If a line is wrong, only its pair fails. If the list cannot be read, "
    "nothing is fused.",
    (
        Message(
            "pair-list-unreadable",
            "The list of pairs {path} cannot be read: {why}. Check the name and the permissions.",
            "The reason comes from the operating system: there is no such file, no permission, or it is a folder.",
        ),
        Message(
            "pair-list-not-csv",
            "The list of pairs {path} is not a CSV file in UTF-8: save it as such.",
            "An Excel file, a CSV file in another encoding, or a quotation mark without its partner. In Excel, save as *CSV "
            "UTF-8*.",
        ),
        Message(
            "pair-list-column-missing",
            "The list of pairs {path} has no column {columns} in its first line: add it, and separate columns by commas.",
            "The first line must name the columns `pet` and `mri`. Spreadsheets often write semicolons, depending on the "
            "language.",
        ),
        Message(
            "pair-list-empty",
            "The list of pairs {path} is empty: it needs the columns pet and mri, and a line for each pair.",
            "The file is empty, or contains only its first line.",
        ),
    ),
)
