"""Dates and times of DICOM headers."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from cspadn.errors import InputError
from cspadn.io.dicom_tags import tag_value
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_DATE_TIME = re.compile(r"(\d{10}(?:\d\d){0,2})(?:\.\d+)?")
_OLD_DATE = re.compile(r"^(\d{4})\.(\d\d)\.(\d\d)")
_NO_DATE = "20000101"  # stands for a date that is not known
_DAY = 86400.0  # seconds


class Moment(NamedTuple):
    """A point of time.

    Attributes:
        seconds: since an arbitrary time.
        dated: whether the date is known; else only differences below a day count.
    """

    seconds: float
    dated: bool

    def since(self, other: Moment) -> float:
        """Return the seconds since another time."""
        return self.seconds - other.seconds

    def near(self, other: Moment) -> Moment:
        """Return the time on the day that is nearest to another time, if its own date is not known."""
        if self.dated:
            return self
        days = round((other.seconds - self.seconds) / _DAY)
        return Moment(self.seconds + days * _DAY, other.dated)


def needed(dataset: Dataset, keyword: str, name: str) -> Any:
    """Return the value of a tag; InputError if it is missing or empty."""
    value = tag_value(dataset, keyword, name)
    if value is None or value == "" or value == []:
        raise InputError(message("suv-tag-missing", volume=name, tag=keyword))
    return value


def date_and_time(header: Dataset, date: str, time: str, name: str) -> Moment:
    """Return the time of two tags; the date may be missing, for example after anonymisation.

    Raises:
        InputError: there is no time, or one of the tags is damaged. The message names the tag.
    """
    day = str(tag_value(header, date, name) or "")
    return _parsed(f"{day or _NO_DATE}{needed(header, time, name)}", time, name, dated=bool(day))


def moment_of(header: Dataset, text: str, keyword: str, name: str, *, dated: bool = True) -> Moment:
    """Return the time of a text: a date with a time, or a time alone.

    Args:
        header: of the series, which may name its time zone.
        text: value of a tag.
        keyword: of the tag, for the message.
        name: the volume's name in error messages.
        dated: whether the text has a date.

    Raises:
        InputError: the text is damaged, or has an offset from UTC that the series does not have.
    """
    zone = str(header.get("TimezoneOffsetFromUTC") or "")
    return _parsed(
        text.removesuffix(zone) if dated and zone else f"{'' if dated else _NO_DATE}{text}", keyword, name, dated=dated
    )


def _parsed(text: str, keyword: str, name: str, *, dated: bool) -> Moment:
    """Parse YYYYMMDDHH[MM[SS[.FFFFFF]]], without the fractions; older files have YYYY.MM.DD and HH:MM:SS."""
    match = _DATE_TIME.fullmatch(_OLD_DATE.sub(r"\1\2\3", text.strip()).replace(":", ""))
    try:
        parsed = datetime.strptime(f"{match[1]:0<14}" if match else "", "%Y%m%d%H%M%S")
    except ValueError:
        raise InputError(message("suv-time-invalid", volume=name, tag=keyword)) from None
    return Moment((parsed - datetime(2000, 1, 1)).total_seconds(), dated)
