"""What every test shares: hypothesis draws the same examples in CI, and has no deadline.

No test touches the user's own cache of compiled code; processes that a test starts do not either.
"""

import os

from hypothesis import settings

os.environ["TAPEGRAD_CACHE"] = "0"  # no test finds what an earlier one compiled, unless it asks

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
