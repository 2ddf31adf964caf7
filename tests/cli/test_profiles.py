"""A command finds its platform and token in the environment or in a file that nobody else can read."""

from pathlib import Path

import pytest

from webhooks_app.cli import profiles
from webhooks_app.cli.profiles import Profile, ProfileError

FILE = """
default = "staging"
[profiles.staging]
url = "https://staging.example.com/"
token = "tok_staging"
[profiles.production]
url = "https://webhooks.example.com"
token = "tok_production"
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def write(env: dict[str, str], text: str, mode: int = 0o600) -> Path:
    path = profiles.config_path(env)
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(mode)
    return path


STAGING = Profile("staging", "https://staging.example.com", "tok_staging")
PRODUCTION = Profile("production", "https://webhooks.example.com", "tok_production")
OTHER = {"AVRA_URL": "http://localhost:8000", "AVRA_TOKEN": "tok_x"}
GIVEN = Profile("environment", "http://localhost:8000", "tok_x")
OTHER_TOKEN = Profile("staging", "https://staging.example.com", "tok_x")


@pytest.mark.parametrize(
    ("more", "chosen", "expected"),
    [
        ({}, None, STAGING),
        ({"AVRA_PROFILE": "production"}, None, PRODUCTION),
        ({"AVRA_PROFILE": "production"}, "staging", STAGING),
        (OTHER, None, GIVEN),
        (OTHER | {"AVRA_PROFILE": "production"}, None, GIVEN),
        (OTHER, "production", PRODUCTION),
        ({"AVRA_TOKEN": "tok_x"}, None, OTHER_TOKEN),
    ],
)
def test_the_nearest_word_about_the_platform_counts(
    env: dict[str, str], more: dict[str, str], chosen: str | None, expected: Profile
) -> None:
    write(env, FILE)
    assert profiles.read(env | more, chosen) == expected


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_file_that_others_can_reach_is_refused(env: dict[str, str], mode: int) -> None:
    path = write(env, FILE, mode)
    with pytest.raises(ProfileError, match=f"chmod 600 {path}"):
        profiles.read(env)


def test_a_token_of_the_file_goes_to_no_address_of_the_environment(env: dict[str, str]) -> None:
    write(env, FILE)
    with pytest.raises(ProfileError, match="AVRA_TOKEN is not"):
        profiles.read(env | {"AVRA_URL": "https://elsewhere.example.com"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Set AVRA_URL and AVRA_TOKEN"),
        ("default = 'a'", "has no profile 'a'; it has none"),
        ("default = 'a'\n[profiles.b]", "it has b"),
        ("default = ", "is not valid TOML"),
        ("profile = 'a'", "no key 'profile'; did you mean profiles"),
        ("default = 'a'\n[profiles.a]\nulr = 'https://x.example'", "did you mean url"),
        ("default = 'a'\n[profiles.a]\nurl = 'https://x.example'", "token is missing"),
        ("default = 'a'\n[profiles.a]\nurl = 1\ntoken = 'tok_x'", "url must be a text"),
        ("default = 'a'\n[profiles.a]\nurl = 'ftp://x.example'\ntoken = 'tok_x'", "must look like"),
        ("default = 'a'\n[profiles.a]\nurl = 'https://u:p@x.example'\ntoken = 'tok_x'", "must look like"),
        ("default = 'a'\n[profiles.a]\nurl = 'https://[x'\ntoken = 'tok_x'", "must look like"),
        ("default = 'a'\n[profiles.a]\nurl = 'https://x.example'\ntoken = 'tok_se cret'", "as the platform"),
        ("default = 'a'\n[profiles.a]\nurl = 'https://x.example'\ntoken = 'tok_…'", "of an example"),
        (
            "default = 'a'\n[profiles.a]\nurl = 'https://x.example'\ntoken = 'tok_x'\nca_file = '/none.pem'",
            "no file '/none.pem'",
        ),
    ],
)
def test_what_is_wrong_with_the_file_is_said_without_its_tokens(
    env: dict[str, str], text: str, words: str
) -> None:
    write(env, text)
    with pytest.raises(ProfileError) as caught:
        profiles.read(env)
    assert words in str(caught.value)
    assert "tok_" not in str(caught.value).replace("tok_…", "")
    assert caught.value.exit_code == 78


def test_a_token_is_not_shown_by_accident() -> None:
    assert "tok_staging" not in repr(STAGING)


def test_without_a_folder_for_settings_it_is_that_of_the_home() -> None:
    home = Path.home() / ".config/avra/config.toml"
    assert profiles.config_path({}) == profiles.config_path({"XDG_CONFIG_HOME": "relative"}) == home
