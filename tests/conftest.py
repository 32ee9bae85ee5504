"""What every test shares: hypothesis draws the same examples in CI, and has no deadline.

No test touches the user's own cache of compiled code; processes that a test starts do not either.
"""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ["TAPEGRAD_CACHE"] = "0"  # no test finds what an earlier one compiled, unless it asks

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep what pytest holds out of the times of a test marked `timed`.

    A full collection takes 0.15 s or more where thousands of collected tests are looked at.
    """
    if request.node.get_closest_marker("timed") is None:
        yield
        return
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
