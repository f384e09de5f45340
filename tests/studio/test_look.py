"""The theme and the style sheet: colours that can be read, fonts that need no network."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf8"))
STYLE = (ROOT / "assets/style.css").read_text(encoding="utf8")
THEMES = ["light", "dark"]


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def grounds(theme: dict) -> list[str]:
    names = ("backgroundColor", "secondaryBackgroundColor")
    return [theme[name] for name in names] + [theme["sidebar"][name] for name in names]


def test_contrast_is_computed_right() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", THEMES)
def test_text_can_be_read_on_every_ground(name: str) -> None:
    theme = CONFIG["theme"][name]
    texts = {key: value for key, value in theme.items() if key.endswith("TextColor")}
    texts |= {key: theme[key] for key in ("textColor", "linkColor")}
    assert len(texts) >= 11
    for key, colour in texts.items():
        own = [value for name, value in theme.items() if name == f"{key[:-9]}BackgroundColor"]
        for ground in [*grounds(theme), *own]:
            assert contrast(colour, ground) >= 4.5, (key, ground)
    for key, ground in theme.items():
        if key.endswith("BackgroundColor"):
            assert contrast(theme["textColor"], ground) >= 4.5, key


@pytest.mark.parametrize("name", THEMES)
def test_buttons_and_marks_stand_out(name: str) -> None:
    theme = CONFIG["theme"][name]
    assert contrast("#FFFFFF", theme["primaryColor"]) >= 4.5
    for ground in grounds(theme):
        assert contrast(theme["primaryColor"], ground) >= 3


def test_the_colours_of_the_style_sheet_can_be_read() -> None:
    for light, dark in re.findall(r"(?<!-)color: light-dark\((#\w{6}), (#\w{6})\)", STYLE):
        for colour, name in ((light, "light"), (dark, "dark")):
            theme = CONFIG["theme"][name]
            for ground in [*grounds(theme), theme["codeBackgroundColor"]]:
                assert contrast(colour, ground) >= 4.5
    here = re.search(r"background: light-dark\((#\w{6}), (#\w{6})\)", STYLE)
    for ground, name in zip(here.groups(), THEMES, strict=True):
        assert contrast(CONFIG["theme"][name]["textColor"], ground) >= 4.5


def test_nothing_is_fetched_for_the_look() -> None:
    for text in (STYLE, *(str(CONFIG["theme"][key]) for key in ("font", "codeFont"))):
        assert not re.search(r"@import|@font-face|url\(|https?:", text)
    assert "fontFaces" not in CONFIG["theme"]


@pytest.mark.parametrize("face", ["Hiragino Sans", "Noto Sans JP", "Noto Sans CJK JP", "Yu Gothic"])
def test_japanese_has_a_face_on_every_system(face: str) -> None:
    assert f'"{face}"' in CONFIG["theme"]["font"]


def test_the_server_is_closed_by_default() -> None:
    server = CONFIG["server"]
    assert server["address"] == "127.0.0.1"
    assert server["enableXsrfProtection"]
    assert server["enableCORS"]
    assert CONFIG["client"]["showErrorDetails"] == "none"
    assert CONFIG["browser"]["gatherUsageStats"] is False
