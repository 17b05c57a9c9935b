"""`python -m sslpipe`, the same as the command `sslpipe`."""

import sys

from sslpipe.cli import main

sys.exit(main())
