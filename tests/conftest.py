"""What every test shares: hypothesis draws the same examples in CI, and has no deadline.

No test touches the user's own cache of compiled code; processes that a test starts do not either.
"""

import gc
import os

import pytest
from hypothesis import settings

os.environ["TAPEGRAD_CACHE"] = "0"  # no test finds what an earlier one compiled, unless it asks

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_finish() -> None:
    """Keep the tests that pytest has found from the garbage collector's sight.

    A full collection takes 0.15 s or more where thousands of them are looked at.
    """
    _keep_all_that_is_there()


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest) -> None:
    """Keep what pytest has made since then out of the times of a test marked `timed`, too."""
    if request.node.get_closest_marker("timed") is not None:
        _keep_all_that_is_there()


def _keep_all_that_is_there() -> None:
    gc.collect()
    gc.freeze()
