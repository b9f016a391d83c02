"""What tests of `sed-run` share: a call of the command, and a recording."""

import pytest
from click.testing import CliRunner

from sed.cli.run import main


@pytest.fixture
def run():
    def call(*arguments, **options):
        return CliRunner().invoke(main, [str(a) for a in arguments], **options)

    return call


@pytest.fixture
def angry(data):
    return data / "emodb_15_angry_1.flac"
