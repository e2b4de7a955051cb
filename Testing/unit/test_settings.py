"""A setting is described once, and is found wherever settings are given."""

from __future__ import annotations

import argparse

import pytest

from cspadn.cli.common import add_settings, given_settings
from cspadn.cli.entry import _parser
from cspadn.errors import UsageError
from cspadn.palettes import PALETTES
from cspadn.settings import FusionSettings, described, flag
from dummy_settings import DUMMIES, VALUES, WithDummy
from message_calls import raises


def parsed(arguments: list[str], settings: type[FusionSettings]) -> FusionSettings:
    parser = argparse.ArgumentParser()
    add_settings(parser, settings)
    return settings(**given_settings(parser.parse_args(arguments), settings))


def test_every_setting_has_a_value() -> None:
    """Return a value other than the default; with the default, the tests below could not fail."""
    assert set(VALUES) == {name for name, _ in described()}
    assert not [name for name, value in VALUES.items() if value == getattr(FusionSettings, name)]


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
    assert set(given_settings(options)) == set(VALUES)
    assert FusionSettings(**given_settings(options)) == FusionSettings(**VALUES)


def test_the_help_names_every_palette() -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    text = " ".join(parser.format_help().split())
    for palette in PALETTES:
        assert palette.replace("-", "") in text.replace("- ", "").replace("-", "")
