import pytest
from file_server import serving


@pytest.fixture
def server():
    with serving() as running:
        yield running
