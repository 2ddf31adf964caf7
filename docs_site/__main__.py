"""`python -m docs_site [FOLDER]`: builds the site into FOLDER, `site/` by default."""

import sys
from pathlib import Path

from docs_site import build

if __name__ == "__main__":
    build.build(Path(sys.argv[1] if len(sys.argv) > 1 else "site").resolve())
