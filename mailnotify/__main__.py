"""``python -m mailnotify`` is the console script."""

import sys

from mailnotify.cli import main

sys.exit(main())
