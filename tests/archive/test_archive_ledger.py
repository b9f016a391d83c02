"""The ledger on a full disk."""

import subprocess
import sys

from sed.archive.ledger import LocalLedger


def test_a_full_disk_is_reported_once_and_loses_the_last_line(tmp_path):
    code = (
        "import pathlib, resource, sys\nfrom sed.archive.ledger import LocalLedger\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\nledger = LocalLedger(pathlib.Path(sys.argv[1]))\n"
        "ledger.append(['x' * 60])\n"
        "try:\n    ledger.append(['y' * 60])\nexcept ValueError as error:\n    print(error)\nledger.close()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert result.stdout.count("cannot be written (File too large)") == 1 and not result.stderr
    ledger = LocalLedger(tmp_path)
    assert list(ledger.lines()) == ["x" * 60]
    ledger.close()
