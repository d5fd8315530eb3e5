"""The tests of the folder above are at hand here."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
