"""What documents say that the code knows: whole pages, and parts of pages between two comments.

`make reference` writes all of it; tests/docs_site/test_reference.py holds the pages to the code.
"""

import sys
from pathlib import Path

# The client's distribution is used out of the checkout: nobody has to install it.
sys.path.append(str(Path(__file__).resolve().parents[2] / "clients" / "python"))
