"""The fault suite: breaks a platform of real processes by seed, and checks what is left of every event.

`python -m faults` (or `make faults`) runs all of it, tests/faults a short part. docs/faults.md describes it.
"""

import sys
from pathlib import Path

# The client's distribution is used out of the checkout: nobody has to install it.
sys.path.append(str(Path(__file__).resolve().parent.parent / "clients" / "python"))
