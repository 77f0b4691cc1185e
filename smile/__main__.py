"""``python -m smile``."""

import sys

from smile.run import main

if __name__ == "__main__":
    sys.exit(main())
