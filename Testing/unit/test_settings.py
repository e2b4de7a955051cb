"""A setting is described once, and is found wherever settings are given."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import pytest

from cspadn.cli.common import add_settings, given_settings
from cspadn.cli.entry import _parser
from cspadn.errors import UsageError
from cspadn.palettes import PALETTES
from cspadn.settings import FusionSettings, described, flag, setting
from message_calls import raises

VALUES = {
    "model": "other.safetensors",
    "device": "cuda:1",
    "grid": "pet",
    "pet_window": (-0.00001, 30000.5),
    "mri_window": (1.0, 2.0),
    "palette": "PET-Heat",
    "half": True,
}


@dataclass(frozen=True)
class WithDummy(FusionSettings):
    """Settings with one of each kind more, each of which is one line."""

    dummy_text: str = setting("a", "text", "a text")
    dummy_choice: str = setting("x", "choice", "a choice", choices=("x", "y"))
    dummy_switch: bool = setting(False, "switch", "a switch")
    dummy_window: tuple[float, float] | None = setting(None, "window", "a window")


DUMMIES = {"dummy_text": "b", "dummy_choice": "y", "dummy_switch": True, "dummy_window": (0.0, 1e-7)}


def parsed(arguments: list[str], settings: type[FusionSettings]) -> FusionSettings:
    parser = argparse.ArgumentParser()
    add_settings(parser, settings)
    return settings(**given_settings(parser.parse_args(arguments), settings))


def test_every_setting_has_a_value_here() -> None:
    assert set(VALUES) == {name for name, _ in described()}


@pytest.mark.parametrize("settings", [FusionSettings(), FusionSettings(**VALUES), WithDummy(), WithDummy(**VALUES, **DUMMIES)])
def test_arguments_give_the_settings_back(settings: FusionSettings) -> None:
    assert parsed(settings.arguments(), type(settings)) == settings


def test_a_new_setting_is_in_the_help_and_in_the_origin() -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser, WithDummy)
    text = parser.format_help()
    origin = WithDummy(**DUMMIES).origin()
    for name, record in described(WithDummy):
        assert flag(name) in text
        assert (name in origin) is record.changes_result
    assert origin["dummy_window"] == [0.0, 1e-7]
    assert WithDummy().origin()["dummy_window"] == "automatic"


@pytest.mark.parametrize(
    ("setting", "value", "identifier"),
    [
        ("dummy_text", 1, "setting-type"),
        ("dummy_choice", "z", "setting-not-a-choice"),
        ("dummy_switch", "yes", "setting-type"),
        ("dummy_window", (1,), "setting-not-a-window"),
        ("palette", "Blue", "setting-not-a-choice"),
    ],
)
def test_a_new_setting_is_checked(setting: str, value: object, identifier: str) -> None:
    with raises(UsageError, identifier, setting=setting):
        WithDummy(**{setting: value})


@pytest.mark.parametrize("command", ["fuse", "cohort"])
def test_every_command_takes_every_setting(command: str) -> None:
    files = ["a.nii", "b.nii", "-o", "c.nii"] if command == "fuse" else ["in", "out"]
    options = _parser().parse_args([command, *files, *FusionSettings(**VALUES).arguments()])
    assert given_settings(options) == {**VALUES, "pet_window": list(VALUES["pet_window"]), "mri_window": [1.0, 2.0]}


def test_the_help_names_every_palette() -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    text = " ".join(parser.format_help().split())
    for palette in PALETTES:
        assert palette.replace("-", "") in text.replace("- ", "").replace("-", "")
